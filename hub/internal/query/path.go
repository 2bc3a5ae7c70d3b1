package query

import (
	"slices"
	"strconv"
	"strings"
)

// step leads from a value to one inside it.
type step struct {
	name  string
	index int // of an element, when name is empty
}

// path names a value of a row. Its first step is a name.
type path struct {
	steps  []step
	offset int // in the text
}

func (p *path) eval(r Row) Value {
	v := r.Member(p.steps[0].name)
	for _, s := range p.steps[1:] {
		if s.name != "" {
			v = v.member(s.name)
		} else {
			v = v.index(s.index)
		}
	}
	return v
}

// name is that of its last member.
func (p *path) name() string {
	for _, s := range slices.Backward(p.steps) {
		if s.name != "" {
			return s.name
		}
	}
	return ""
}

func (p *path) is(member string) bool { return len(p.steps) == 1 && p.steps[0].name == member }

func (p *path) equal(q *path) bool { return slices.Equal(p.steps, q.steps) }

// resolve takes the source's name away from its front, and spells the names of
// system members as IoT Hub does.
func (p *path) resolve(s Source) {
	for p.cut(s.String()) || p.cut("devices") { // tools write devices.deviceId over devices.modules too
	}
	at := systemMembers[s]
	for i := range p.steps {
		m, ok := at.members[strings.ToLower(p.steps[i].name)]
		if !ok {
			break
		}
		p.steps[i].name, at = m.name, m
	}
}

// cut takes names away from its front, if a name follows them.
func (p *path) cut(prefix string) bool {
	words := strings.Split(prefix, ".")
	if len(p.steps) <= len(words) || p.steps[len(words)].name == "" {
		return false
	}
	for i, word := range words {
		if !strings.EqualFold(p.steps[i].name, word) {
			return false
		}
	}
	p.steps = p.steps[len(words):]
	return true
}

// appendText appends the path as it is written over the source s.
func (p *path) appendText(dst []byte, s Source) []byte {
	if first := p.steps[0].name; isReserved(first) || !isPlain(first) {
		dst = append(append(dst, s.String()...), '.') // so that what is first can be in [[ ]]
	}
	for i, s := range p.steps {
		if s.name == "" {
			dst = append(strconv.AppendInt(append(dst, '['), int64(s.index), 10), ']')
			continue
		}
		if i > 0 {
			dst = append(dst, '.')
		}
		if isPlain(s.name) && (i > 0 || !isReserved(s.name)) {
			dst = append(dst, s.name...)
		} else {
			dst = append(append(append(dst, "[["...), s.name...), "]]"...)
		}
	}
	return dst
}

// member is a system member of a row: its name, whose case does not matter in a
// query, and its own members. What is not here is a user's, of exact case.
type member struct {
	name    string
	members map[string]*member // by name in lower case
}

func members(name string, ms ...*member) *member {
	m := &member{name, map[string]*member{}}
	for _, x := range ms {
		m.members[strings.ToLower(x.name)] = x
	}
	return m
}

func names(list string) (ms []*member) {
	for _, name := range strings.Fields(list) {
		ms = append(ms, members(name))
	}
	return ms
}

// systemMembers are those of the rows of each source: the twin document, and the
// rows of jobs. createdTimeUtc is another name that filters of jobs use.
var systemMembers = map[Source]*member{Devices: twinMembers, Modules: twinMembers, Jobs: jobMembers}

var (
	sectionMembers = names("$version $metadata")
	twinMembers    = members("", append(names(`deviceId moduleId etag deviceEtag status statusReason statusUpdateTime connectionState
		lastActivityTime cloudToDeviceMessageCount authenticationType modelId version tags deviceScope parentScopes configurations`),
		members("x509Thumbprint", names("primaryThumbprint secondaryThumbprint")...),
		members("capabilities", names("iotEdge")...),
		members("properties", members("desired", sectionMembers...), members("reported", sectionMembers...)))...)
	jobMembers = members("", append(names("deviceId moduleId jobId jobType status startTimeUtc endTimeUtc createdDateTimeUtc createdTimeUtc lastUpdatedDateTimeUtc"),
		members("error", names("code description")...),
		members("outcome", members("deviceMethodResponse", names("status payload")...)))...)
)
