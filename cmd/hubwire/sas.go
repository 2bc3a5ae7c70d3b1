package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire/sas"
)

func newSAS() *cobra.Command {
	return group(&cobra.Command{
		Use:   "sas",
		Short: "Make, read and check shared access signatures, and derive keys",
	}, newSASMake(), newSASParse(), newSASDerive())
}

// sasMakeFlags are the flags of hubwire sas make.
type sasMakeFlags struct {
	connectionString      string
	key, resource, policy string
	textKey               bool
	ttl                   time.Duration
}

func newSASMake() *cobra.Command {
	var f sasMakeFlags
	c := &cobra.Command{
		Use:   "make",
		Short: "Make a token and print it",
		Example: `  hubwire sas make --connection-string env:HUBWIRE_CONNECTION_STRING --ttl 10m
  hubwire sas make --key env:KEY --resource myhub.azure-devices.net/devices/dev-1`,
		Long: `Make a token and print it, from a connection string (of a device, a module, a
service or an Event Hub), or from a key and the resource that it is for.
--resource and --policy replace what a connection string says.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			source, resource, err := f.source(c)
			if err != nil {
				return err
			}
			token, _, err := source.Token(c.Context(), resource)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), token)
			return nil
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.connectionString, "connection-string", "", "the connection string"+secretUsage)
	fs.StringVar(&f.key, "key", "", "the key, base64"+secretUsage)
	fs.BoolVar(&f.textKey, "text-key", false, "with --key: "+textKeyUsage)
	fs.StringVar(&f.resource, "resource", "", "what the token is for, not encoded: HOST, HOST/devices/ID, HOST/devices/ID/modules/ID")
	fs.StringVar(&f.policy, "policy", "", "the shared access policy whose key it is; none for an identity's own key")
	fs.DurationVar(&f.ttl, "ttl", sas.DefaultTTL, "how long the token lasts")
	return c
}

// source returns what signs, and the resource that it is to sign for.
func (f *sasMakeFlags) source(c *cobra.Command) (*sas.Source, string, error) {
	if f.ttl < time.Second {
		return nil, "", fmt.Errorf("--ttl is %v, the shortest is 1s", f.ttl)
	}
	byKey, byString := c.Flags().Changed("key"), c.Flags().Changed("connection-string")
	switch {
	case byKey && byString:
		return nil, "", errors.New("--connection-string and --key exclude each other")
	case !byKey && !byString:
		return nil, "", errors.New("what is to sign? Say --connection-string, or --key with --resource")
	case f.textKey && !byKey:
		return nil, "", errors.New("--text-key needs --key: a connection string says what its key is")
	}
	if byKey {
		if f.resource == "" {
			return nil, "", errors.New("--key needs --resource")
		}
		key, err := readKey(c, f.key, f.textKey)
		if err != nil {
			return nil, "", err
		}
		return &sas.Source{Signer: key, Policy: f.policy, TTL: f.ttl}, f.resource, nil
	}
	text, err := readSecret(c, "--connection-string", f.connectionString)
	if err != nil {
		return nil, "", err
	}
	cs, err := sas.ParseConnectionString(text.Reveal())
	if err != nil {
		return nil, "", err
	}
	key, resource, err := keyOf(cs)
	if err != nil {
		return nil, "", err
	}
	if f.resource != "" {
		resource = f.resource
	}
	policy := cs.SharedAccessKeyName
	if f.policy != "" {
		policy = f.policy
	}
	return &sas.Source{Signer: key, Policy: policy, TTL: f.ttl}, resource, nil
}

// textKeyUsage is the usage of --text-key.
const textKeyUsage = "the key is not base64 but text, as those of Event Hubs and Service Bus are"

// readKey returns the key that --key gives or leads to.
func readKey(c *cobra.Command, value string, isText bool) (*sas.Key, error) {
	s, err := readSecret(c, "--key", value)
	switch {
	case err != nil:
		return nil, err
	case isText:
		return sas.NewTextKey(s)
	}
	return sas.NewKey(s)
}

// keyOf returns the key of a connection string and the resource of its tokens.
func keyOf(cs *sas.ConnectionString) (*sas.Key, string, error) {
	if cs.SharedAccessKey.IsZero() {
		return nil, "", fmt.Errorf("the connection string is for a %v without a key: a token cannot be made from it", cs.Kind)
	}
	switch cs.Kind {
	case sas.KindEventHub:
		key, err := sas.NewTextKey(cs.SharedAccessKey)
		return key, "sb://" + cs.EndpointHost + "/" + cs.EntityPath, err
	case sas.KindService:
		key, err := sas.NewKey(cs.SharedAccessKey)
		return key, cs.HostName, err
	default:
		key, err := sas.NewKey(cs.SharedAccessKey)
		return key, sas.Audience(cs.HostName, cs.Identity()), err
	}
}

// sasParseFlags are the flags of hubwire sas parse.
type sasParseFlags struct {
	key      string
	textKey  bool
	resource string
}

func newSASParse() *cobra.Command {
	var f sasParseFlags
	c := &cobra.Command{
		Use:     "parse [TOKEN]",
		Aliases: []string{"check"},
		Short:   "Show what a token says, and check it",
		Long: `Show what a token says, without its signature, and check it: its expiry, with
--key its signature, with --resource what it is for. The token is an argument, or
comes from stdin. What does not hold is an error, after all has been shown.`,
		Example: `  hubwire sas parse 'SharedAccessSignature sr=…&sig=…&se=…'
  hubwire sas make --connection-string env:CS | hubwire sas parse --key env:KEY`,
		Args: maxArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			from := "-"
			if len(args) > 0 {
				from = args[0]
			}
			switch {
			case f.textKey && !c.Flags().Changed("key"):
				return errors.New("--text-key needs --key")
			case from == "-" && f.key == "-":
				return errors.New("the token and --key cannot both come from stdin")
			}
			text, err := readSecret(c, "TOKEN", from)
			if err != nil {
				return err
			}
			token, err := sas.ParseToken(text.Reveal())
			if err != nil {
				return err
			}
			return f.check(c, token)
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.key, "key", "", "the key, base64, that should have signed it"+secretUsage)
	fs.BoolVar(&f.textKey, "text-key", false, "with --key: "+textKeyUsage)
	fs.StringVar(&f.resource, "resource", "", "what it should be for: HOST/devices/ID, say; a token for HOST is for that too")
	return c
}

// check prints token and what holds of it, and returns what does not.
func (f *sasParseFlags) check(c *cobra.Command, token sas.Token) error {
	var key *sas.Key
	if c.Flags().Changed("key") { // an empty one is a mistake, not a wish for no check
		var err error
		if key, err = readKey(c, f.key, f.textKey); err != nil {
			return err
		}
	}
	w, now := c.OutOrStdout(), time.Now()
	show := func(name, value string) { fmt.Fprintf(w, "%-10s%s\n", name, value) }
	var resourceErr, signatureErr error
	if f.resource != "" {
		resourceErr = token.CheckResource(strings.Split(f.resource, "/")...)
	}
	signature := "not checked: that needs --key"
	if key != nil {
		signature = "of this key"
		if _, signatureErr = token.SignedBy(key, nil); signatureErr != nil {
			signature = "not of this key"
		}
	}
	show("resource", printable(string(sas.AppendUnescape(nil, token.Resource))))
	show("policy", policyText(token.Policy))
	show("expires", expiryText(token.Expires, now))
	show("signature", signature)
	return errors.Join(resourceErr, token.CheckExpiry(now, 0), signatureErr)
}

func policyText(policy string) string {
	if policy == "" {
		return "none: an identity's own key"
	}
	return printable(policy)
}

func expiryText(expires, now time.Time) string {
	s := expires.UTC().Format(time.RFC3339)
	if left := expires.Sub(now).Truncate(time.Second); left > 0 {
		return fmt.Sprintf("%s (in %v)", s, left)
	}
	return fmt.Sprintf("%s (%v ago)", s, now.Sub(expires).Truncate(time.Second))
}

func newSASDerive() *cobra.Command {
	var group, id string
	c := &cobra.Command{
		Use:   "derive",
		Short: "Derive a device's key from the key of its DPS enrollment group, and print it",
		Long: `Derive a device's key from the key of its DPS enrollment group, and print it. The
registration id is taken byte by byte; DPS compares it without case, so use lower case.`,
		Example: `  hubwire sas derive --key env:GROUP_KEY --registration-id sensor-0001`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			key, err := readKey(c, group, false)
			if err != nil {
				return err
			}
			if id == "" {
				return errors.New("--registration-id is empty")
			}
			_, err = io.WriteString(c.OutOrStdout(), sas.DeriveKey(key, id).Reveal()+"\n")
			return err
		},
	}
	fs := c.Flags()
	fs.StringVar(&group, "key", "", "the enrollment group's key, base64"+secretUsage)
	fs.StringVar(&id, "registration-id", "", "the device's registration id")
	_ = c.MarkFlagRequired("key") // fails for a flag that is not there
	_ = c.MarkFlagRequired("registration-id")
	return c
}
