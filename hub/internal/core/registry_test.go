package core

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

func TestCreateFillsInWhatTheHubSets(t *testing.T) {
	c := newCore(t, nil)
	d := create(t, c, &Device{ID: hubwire.Identity{DeviceID: "new"}, StatusReason: "why"})
	want := &Device{ID: hubwire.Identity{DeviceID: "new"}, StatusReason: "why", Auth: Auth{Type: AuthSAS}}
	if diff := cmp.Diff(want, d, cmpopts.IgnoreFields(Device{}, "GenerationID", "ETag"), cmpopts.IgnoreFields(Auth{}, "Primary", "Secondary")); diff != "" {
		t.Errorf("Create (-want +got):\n%s", diff)
	}
	for _, k := range []sas.Secret{d.Auth.Primary, d.Auth.Secondary} {
		if b, err := base64.StdEncoding.DecodeString(k.Reveal()); err != nil || len(b) != 32 {
			t.Errorf("a generated key has %d bytes, %v", len(b), err)
		}
	}
	if d.Auth.Primary.Equal(d.Auth.Secondary) {
		t.Error("both keys are the same")
	}
	if b, err := base64.StdEncoding.DecodeString(d.ETag); err != nil {
		t.Errorf("etag %q: %v", d.ETag, err)
	} else if _, err := strconv.Atoi(string(b)); err != nil {
		t.Errorf("etag %q is not the base64 of a number", d.ETag)
	}
	if n, err := strconv.ParseInt(d.GenerationID, 10, 64); err != nil || n < 638e15 {
		t.Errorf("generation id %q", d.GenerationID)
	}
	if got, err := c.Device(d.ID); err != nil || !cmp.Equal(got, d) {
		t.Errorf("Device = %+v, %v", got, err)
	}
}

func TestCreateKeepsGivenCredentials(t *testing.T) {
	c := newCore(t, nil)
	key := sas.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, 16)))
	thumb := strings.Repeat("aB", 32)
	for i, a := range []Auth{
		{Type: AuthSAS, Primary: key, Secondary: key},
		{Type: AuthSelfSigned, PrimaryThumbprint: thumb[:40], SecondaryThumbprint: thumb},
		{Type: AuthSelfSigned, SecondaryThumbprint: thumb},
		{Type: AuthCA},
		{Type: AuthNone},
	} {
		d := create(t, c, &Device{ID: hubwire.Identity{DeviceID: fmt.Sprint(i)}, Auth: a})
		if !cmp.Equal(d.Auth, a) {
			t.Errorf("%s: credentials changed", a.Type)
		}
	}
}

func TestCreateRefusals(t *testing.T) {
	c := newCore(t, nil)
	for i := range maxModules - 1 {
		create(t, c, &Device{ID: hubwire.Identity{DeviceID: "dev", ModuleID: fmt.Sprint(i)}})
	}
	id := hubwire.Identity{DeviceID: "new"}
	short := sas.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, 15)))
	long := sas.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, 65)))
	cases := []struct {
		name string
		d    Device
		code hubwire.Code
	}{
		{"a device that exists", Device{ID: dev}, hubwire.DeviceAlreadyExists},
		{"a module that exists", Device{ID: mod}, hubwire.ModuleAlreadyExists},
		{"a module of an unknown device", Device{ID: hubwire.Identity{DeviceID: "nobody", ModuleID: "m"}}, hubwire.DeviceNotFound},
		{"the 51st module", Device{ID: hubwire.Identity{DeviceID: "dev", ModuleID: "new"}}, hubwire.TooManyModules},
		{"an illegal id", Device{ID: hubwire.Identity{DeviceID: "a/b"}}, hubwire.ArgumentInvalid},
		{"a status reason of 129 characters", Device{ID: id, StatusReason: strings.Repeat("ä", 129)}, hubwire.ArgumentInvalid},
		{"an unknown authentication type", Device{ID: id, Auth: Auth{Type: "magic"}}, hubwire.ArgumentInvalid},
		{"a key that is not base64", Device{ID: id, Auth: Auth{Primary: sas.NewSecret("***")}}, hubwire.ArgumentInvalid},
		{"a key with a line break", Device{ID: id, Auth: Auth{Primary: sas.NewSecret(newKey().Reveal() + "\n")}}, hubwire.ArgumentInvalid},
		{"a key of 15 bytes", Device{ID: id, Auth: Auth{Primary: short}}, hubwire.ArgumentInvalid},
		{"a key of 65 bytes", Device{ID: id, Auth: Auth{Secondary: long}}, hubwire.ArgumentInvalid},
		{"self-signed without a thumbprint", Device{ID: id, Auth: Auth{Type: AuthSelfSigned}}, hubwire.ArgumentInvalid},
		{"a thumbprint of 41 digits", Device{ID: id, Auth: Auth{Type: AuthSelfSigned, PrimaryThumbprint: strings.Repeat("a", 41)}}, hubwire.ArgumentInvalid},
		{"a thumbprint that is not hexadecimal", Device{ID: id, Auth: Auth{Type: AuthSelfSigned, PrimaryThumbprint: strings.Repeat("g", 40)}}, hubwire.ArgumentInvalid},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := c.Create(ctx, &tc.d)
			wantCode(t, "Create", err, tc.code)
		})
	}
}

func TestCreateStopsAtTheLimitOfTheHub(t *testing.T) {
	c := newCore(t, &Config{MaxDevices: 2})
	_, err := c.Create(ctx, &Device{ID: hubwire.Identity{DeviceID: "third"}})
	wantCode(t, "the third identity", err, hubwire.TooManyDevices)
	must(t, c.Delete(ctx, mod, "*"))
	create(t, c, &Device{ID: hubwire.Identity{DeviceID: "third"}})
}

func TestOnlyOneOfManyCreatesSucceeds(t *testing.T) {
	c := newCore(t, nil)
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() { _, errs[i] = c.Create(ctx, &Device{ID: hubwire.Identity{DeviceID: "new"}}) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			wantCode(t, "the others", err, hubwire.DeviceAlreadyExists)
		}
	}
	if won != 1 {
		t.Errorf("%d creates succeeded", won)
	}
}

func TestUpdateHoldsItsPrecondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		d, _ := c.Device(dev)
		first := d.ETag
		d.Disabled, d.StatusReason = true, "lost"
		got, err := c.Update(ctx, d, first)
		if err != nil || got.ETag == first || !got.Disabled || got.GenerationID != d.GenerationID || !got.StatusUpdated.Equal(time.Now()) {
			t.Errorf("Update = %+v, %v", got, err)
		}
		_, err = c.Update(ctx, d, first)
		wantCode(t, "Update with an old etag", err, hubwire.PreconditionFailed)
		wantCode(t, "Delete with an old etag", c.Delete(ctx, dev, first), hubwire.PreconditionFailed)
		if _, err := c.Update(ctx, d, "*"); err != nil {
			t.Errorf("Update with any etag: %v", err)
		}
		d.ID.DeviceID = "nobody"
		_, err = c.Update(ctx, d, "*")
		wantCode(t, "Update of nobody", err, hubwire.DeviceNotFound)
		wantCode(t, "Delete of nobody", c.Delete(ctx, d.ID, "*"), hubwire.DeviceNotFound)
	})
}

func TestUpdateGeneratesEmptyKeys(t *testing.T) {
	c := newCore(t, nil)
	old, _ := c.Device(dev)
	want := *old
	want.Auth.Primary = sas.Secret{}
	got, err := c.Update(ctx, &want, "*")
	if err != nil || got.Auth.Primary.Equal(old.Auth.Primary) || got.Auth.Primary.IsZero() || !got.Auth.Secondary.Equal(old.Auth.Secondary) {
		t.Errorf("keys after Update are wrong, %v", err)
	}
}

func TestUpdateCannotMakeAnEdgeDevice(t *testing.T) {
	c := newCore(t, nil)
	d, _ := c.Device(dev)
	d.Edge = true
	_, err := c.Update(ctx, d, "*")
	wantCode(t, "Update", err, hubwire.ArgumentInvalid)
}

func TestAnEdgeDeviceHasItsModulesAndScope(t *testing.T) {
	c := newCore(t, nil)
	d := create(t, c, &Device{ID: hubwire.Identity{DeviceID: "edge"}, Edge: true})
	if !strings.HasPrefix(d.Scope, "ms-azure-iot-edge://edge-") {
		t.Errorf("scope %q", d.Scope)
	}
	ms, err := c.Modules("edge")
	if err != nil || len(ms) != 2 || ms[0].ID.ModuleID != "$edgeAgent" || ms[1].ID.ModuleID != "$edgeHub" || ms[0].Auth.Type != AuthNone || ms[0].ManagedBy != "IotEdge" {
		t.Errorf("Modules = %+v, %v", ms, err)
	}
}

func TestDeleteTakesEverythingAlong(t *testing.T) {
	s := store.NewMemory(nil)
	c := newCoreOn(t, nil, s)
	before, _ := c.Device(dev)
	send(t, c, dev, hubwire.Message{})
	_, err := c.PatchTwin(ctx, dev, &TwinUpdate{Tags: json.RawMessage(`{"a":1}`)}, "")
	must(t, err)
	session, l := connect(t, c, dev)
	_, lm := connect(t, c, mod)
	must(t, c.Delete(ctx, dev, before.ETag))
	if l.closed() != hubwire.DeviceNotFound || lm.closed() != hubwire.ModuleNotFound {
		t.Errorf("links closed with %d, %d", l.closed(), lm.closed())
	}
	_, err = session.Twin(ctx)
	if err == nil {
		t.Error("a deleted device read its twin")
	}
	for _, id := range []hubwire.Identity{dev, mod} {
		if _, err := c.Device(id); err == nil {
			t.Errorf("%v is still there", id)
		}
	}
	for _, k := range []store.Kind{store.Identities, store.Twins, store.Queue, store.Subscriptions} {
		if rs, _ := s.Scan(ctx, store.Key{Kind: k}, 10); len(rs) != 0 {
			t.Errorf("the store still has %v", rs)
		}
	}
	after := create(t, c, &Device{ID: dev})
	if after.GenerationID == before.GenerationID || after.C2DCount != 0 {
		t.Errorf("created again: %+v", after)
	}
	if tw, err := c.Twin(ctx, dev); err != nil || string(tw.Tags) != "{}" {
		t.Errorf("twin after creation = %s, %v", tw.Tags, err)
	}
	if ms, err := c.Modules("dev"); err != nil || len(ms) != 0 {
		t.Errorf("Modules = %v, %v", ms, err)
	}
}

func TestDeleteAgainAfterTheStoreFailed(t *testing.T) {
	bs := &brokenStore{Store: store.NewMemory(nil)}
	c := newCoreOn(t, nil, bs)
	send(t, c, dev, hubwire.Message{})
	bs.broken = true
	wantCode(t, "Delete", c.Delete(ctx, dev, "*"), hubwire.ServerError)
	_, err := c.Create(ctx, &Device{ID: hubwire.Identity{DeviceID: "new"}})
	wantCode(t, "Create", err, hubwire.ServerError)
	d, err := c.Device(dev)
	must(t, err)
	_, err = c.Update(ctx, d, "*")
	wantCode(t, "Update", err, hubwire.ServerError)
	bs.broken = false
	_, err = c.Update(ctx, d, d.ETag)
	must(t, err)
	must(t, c.Delete(ctx, dev, "*"))
	create(t, c, &Device{ID: hubwire.Identity{DeviceID: "new"}})
}

func TestListsAreInOrderAndBounded(t *testing.T) {
	c := newCore(t, nil)
	for _, id := range []string{"b", "a", "c"} {
		create(t, c, &Device{ID: hubwire.Identity{DeviceID: id}, Disabled: id == "c"})
	}
	names := func(ds []*Device) (out []string) {
		for _, d := range ds {
			out = append(out, d.ID.String())
		}
		return out
	}
	if got := names(c.Devices(100)); !slices.Equal(got, []string{"a", "b", "c", "dev"}) {
		t.Errorf("Devices = %v", got)
	}
	if got := names(c.Devices(2)); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("Devices(2) = %v", got)
	}
	if got := c.Devices(-1); len(got) != 0 {
		t.Errorf("Devices(-1) = %v", names(got))
	}
	if ms, err := c.Modules("dev"); err != nil || !slices.Equal(names(ms), []string{"dev/mod"}) {
		t.Errorf("Modules = %v, %v", names(ms), err)
	}
	_, err := c.Modules("nobody")
	wantCode(t, "Modules of nobody", err, hubwire.DeviceNotFound)
	connect(t, c, dev)
	connect(t, c, mod)
	if got, want := c.Statistics(), (Statistics{Total: 4, Enabled: 3, Disabled: 1, Connected: 1}); got != want {
		t.Errorf("Statistics = %+v, want %+v", got, want)
	}
}

func TestNothingShowsAKeyOrAToken(t *testing.T) {
	c := newCore(t, nil)
	d, _ := c.Device(dev)
	login := Login{Identity: dev, Token: sas.NewSecret("SharedAccessSignature sig=hidden")}
	testkit.Hides(t, "a login", login.Token.Reveal(), login)
	testkit.Hides(t, "the policies", c.Policies()[0].Primary.Reveal(), c.Policies())
	for name, key := range map[string]string{"primary": d.Auth.Primary.Reveal(), "secondary": d.Auth.Secondary.Reveal()} {
		testkit.Hides(t, "a device, "+name, key, d)
		testkit.Hides(t, "a grant, "+name, key, grant(t, c, dev))
	}
}

func TestANewCoreFindsWhatTheOldOneLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory(nil)
		old := newCoreOn(t, nil, s)
		session, _ := connect(t, old, dev)
		send(t, old, dev, hubwire.Message{ID: "fed back", Ack: hubwire.AckFull})
		must(t, session.Settle(ctx, session.NextOf(anyC2D).LockToken, hubwire.Complete))
		send(t, old, dev, hubwire.Message{ID: "waiting", Body: []byte("b"), Properties: []hubwire.Property{{Name: "k", Value: "v"}}})
		must(t, session.Settle(ctx, session.NextOf(anyC2D).LockToken, hubwire.Abandon))
		send(t, old, mod, hubwire.Message{ID: "dies", Expiry: time.Now().Add(time.Minute), Ack: hubwire.AckNegative})
		must(t, old.SendInput(ctx, mod, "in", &hubwire.Message{ID: "input"}))
		_, err := old.PatchTwin(ctx, dev, &TwinUpdate{Tags: json.RawMessage(`{"t":1}`), Desired: json.RawMessage(`{"d":{"x":"y"}}`)}, "")
		must(t, err)
		_, err = session.PatchReported(ctx, []byte(`{"r":true}`), 0)
		must(t, err)
		oldTwin, _ := old.Twin(ctx, dev)
		oldDevice, _ := old.Device(dev)
		oldPolicies := old.Policies()
		must(t, session.Telemetry(ctx, &hubwire.Message{ID: "event"}))
		old.Close()

		c := newCoreOn(t, nil, s)
		twin, err := c.Twin(ctx, dev)
		if diff := cmp.Diff(oldTwin, twin); diff != "" || err != nil {
			t.Errorf("twin (-old +new), %v:\n%s", err, diff)
		}
		d, err := c.Device(dev)
		live := cmpopts.IgnoreFields(Device{}, "Connected", "ConnectionUpdated", "LastActivity")
		if diff := cmp.Diff(oldDevice, d, live); diff != "" || err != nil || d.Connected {
			t.Errorf("device (-old +new), %v:\n%s", err, diff)
		}
		if !cmp.Equal(oldPolicies, c.Policies()) {
			t.Error("the policies have changed")
		}
		if b := c.Feedback(10); b == nil || b.Records[0].OriginalMessageID != "fed back" {
			t.Errorf("feedback = %+v", b)
		} else {
			must(t, c.SettleFeedback(ctx, b.LockToken, hubwire.Complete))
		}
		s2, _ := connectWith(t, c, grant(t, c, dev), nil)
		if !s2.Present() || len(s2.Subscriptions()) != 1 || s2.Subscriptions()[0].Filter != "all" {
			t.Errorf("subscriptions = %v, present %v", s2.Subscriptions(), s2.Present())
		}
		r := s2.NextOf(anyC2D)
		if r == nil || r.ID != "waiting" || r.DeliveryCount != 1 || !r.Redelivered || string(r.Body) != "b" || r.Properties[0].Value != "v" {
			t.Errorf("waiting message = %+v", r)
		}
		send(t, c, dev, hubwire.Message{ID: "next"})
		if r2 := s2.NextOf(anyC2D); r2 == nil || r2.SequenceNumber != r.SequenceNumber+1 {
			t.Errorf("next message = %+v", r2)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if b := c.Feedback(10); b == nil || b.Records[0].OriginalMessageID != "dies" || b.Records[0].Status != StatusExpired {
			t.Errorf("feedback = %+v", b)
		}
		events, _ := c.Events(ctx, AllPartitions, Start{})
		if ev, err := events.TryNext(ctx); err != nil || ev == nil || ev.ID != "event" {
			t.Errorf("event = %+v, %v", ev, err)
		}
	})
}

func TestADamagedStoreIsRefused(t *testing.T) {
	for _, kind := range []store.Kind{store.Policies, store.Identities, store.Twins, store.Subscriptions, store.Queue, store.Feedback, store.Uploads, store.FileNotifications, store.Jobs, store.DeviceJobs, store.Configurations, store.Transfers} {
		s := store.NewMemory(nil)
		newCoreOn(t, nil, s).Close()
		k := store.Key{Kind: kind, ID: dev}
		if kind == store.Policies {
			k.ID.DeviceID = "service"
		}
		must(t, s.Delete(ctx, k))
		_, err := s.Put(ctx, k, []byte("{"), 0)
		must(t, err)
		if _, err := New(ctx, nil, s); err == nil {
			t.Errorf("kind %d: a damaged record was taken", kind)
		}
	}
}
