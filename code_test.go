package hubwire_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

// published are the service's names by their numbers.
func published(t *testing.T) map[hubwire.Code]string {
	return testkit.Codes[hubwire.Code](t, "testdata/codes.txt")
}

func code(t *testing.T, number string) hubwire.Code {
	t.Helper()
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	return hubwire.Code(n)
}

// constants are the names of this package's codes by their numbers.
func constants(t *testing.T) map[hubwire.Code]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[hubwire.Code]string{}
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				names[code(t, v.Values[0].(*ast.BasicLit).Value)] = v.Names[0].Name
			}
		}
	}
	return names
}

func TestEachPublishedCodeHasAConstantAndAName(t *testing.T) {
	want := published(t)
	names, got := constants(t), map[hubwire.Code]string{}
	for c := range names {
		got[c] = c.Name()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for c, own := range names {
		if n := int(c); c.Status() != n/1000 || c.Error() != "hubwire: "+strconv.Itoa(n)+" "+want[c] {
			t.Errorf("%s: status %d, %q", own, c.Status(), c.Error())
		}
	}
	if c := hubwire.Code(404777); c.Name() != "" || c.Status() != 404 || c.Error() != "hubwire: 404777" {
		t.Errorf("a code that nobody knows: %q, %d, %q", c.Name(), c.Status(), c.Error())
	}
}

func TestCodesAreFoundByNameAndNumber(t *testing.T) {
	for c, name := range published(t) {
		for _, text := range []string{name, strconv.Itoa(int(c))} {
			if got, ok := hubwire.ParseCode(text); !ok || got != c {
				t.Errorf("%q: %v, %t", text, got, ok)
			}
		}
	}
	for text, want := range map[string]bool{"": false, "devicenotfound": false, "0": false, "404": false, "-404001": false, "404777": true, "600000": false, "99999999999999999999": false} {
		if c, ok := hubwire.ParseCode(text); ok != want {
			t.Errorf("%q: %v, %t", text, c, ok)
		}
	}
}

// Which codes mean that the same call can succeed later is what the official SDKs
// agree on, and else the cautious answer.
func TestWhichCodesAreRetryable(t *testing.T) {
	want := map[string]bool{}
	for _, name := range strings.Fields(`
		RequestCanceled RequestTimedOut ConnectionClosedOnNew ConnectionClosedOnFault ConnectionRejectedOnFault
		QuotaExceeded MaxInflightMethodExceeded
		HubFailingOver ConnectionClosedRemotely
		LinkCreationConflict
		TooManyRequests Throttled ThrottleBacklogLimitExceeded ThrottlingBacklogTimeout TooManyActiveJobs DeviceThrottled
		GenericServerError ServerError GenericTimeout ModelRepoEndpointError ResolutionError
		UnableToFetchCredentials UnableToFetchTenantInfo UnableToShareIdentity UnableToExpandDiscoveryInfo
		UnableToExpandComponentInfo UnableToCompressComponentInfo UnableToCompressDiscoveryInfo OrphanDiscoveryDocument
		GenericServiceUnavailable ServiceUnavailable PartitionNotFound HubActivationFailed ServerBusy HubRestoring
		ReceiveLinkOpensThrottled ConnectionUnavailable DeviceUnavailable ConfigurationNotAvailable GroupNotAvailable
		HostingServiceNotAvailable`) {
		want[name] = true
	}
	names := constants(t)
	for _, c := range slices.Sorted(maps.Keys(names)) {
		if name := names[c]; c.Retryable() != want[name] {
			t.Errorf("%s: retryable %t, want %t", name, c.Retryable(), want[name])
		}
		delete(want, names[c])
	}
	if len(want) > 0 {
		t.Errorf("no such constants: %v", want)
	}
	for c, want := range map[hubwire.Code]bool{0: false, 404777: false, 503777: true, 500777: true, 429777: true, 403777: false, 504777: false} {
		if c.Retryable() != want { // what has no constant says so by its status
			t.Errorf("%d: retryable %t, want %t", int(c), c.Retryable(), want)
		}
	}
}
