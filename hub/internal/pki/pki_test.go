package pki

import (
	"bytes"
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestServerCertificateNames(t *testing.T) {
	ca, err := New()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, host, dialled string
		ok                  bool
	}{
		{"localhost always works", "my.example", "localhost", true},
		{"the loopback address always works", "my.example", "127.0.0.1", true},
		{"a hub name of Azure works", "localhost", "myhub.azure-devices.net", true},
		{"the provisioning host works", "localhost", "global.azure-devices-provisioning.net", true},
		{"the configured host works", "my.example", "my.example", true},
		{"a configured address works", "192.0.2.7", "192.0.2.7", true},
		{"another name does not work", "my.example", "your.example", false},
		{"a name below a wildcard's level does not work", "localhost", "a.b.azure-devices.net", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert, err := ca.Server(tt.host)
			if err != nil {
				t.Fatal(err)
			}
			_, err = cert.Leaf.Verify(x509.VerifyOptions{
				Roots: ca.Pool(), DNSName: tt.dialled, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			if (err == nil) != tt.ok {
				t.Errorf("verifying %q: %v, want success %v", tt.dialled, err, tt.ok)
			}
			if len(cert.Certificate) != 2 || !bytes.Equal(cert.Certificate[1], ca.Cert.Raw) {
				t.Errorf("the chain has %d certificates, want the leaf and the authority", len(cert.Certificate))
			}
		})
	}
}

func TestServerCertificateIsForServersOnly(t *testing.T) {
	ca, err := New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Server("localhost")
	if err != nil {
		t.Fatal(err)
	}
	_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil {
		t.Error("the server's certificate is good for clients too")
	}
}

func TestOpenKeepsTheAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Cert.Equal(second.Cert) {
		t.Error("the second Open made another authority")
	}
	cert, err := second.Server("localhost")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: first.Pool(), DNSName: "localhost"}); err != nil {
		t.Errorf("who trusts the first does not trust the second: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, want 0600", info.Mode())
	}
	left, err := fs.Glob(os.DirFS(dir), "*.tmp")
	if err != nil || len(left) != 0 {
		t.Errorf("files left over: %v, %v", left, err)
	}
}

func TestOpenRefusesWhatItCannotRead(t *testing.T) {
	other, err := New()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, file string
		content    []byte
	}{
		{"a certificate that is no PEM", CertFile, []byte("garbage")},
		{"a key that is no PEM", KeyFile, nil},
		{"a certificate in the place of the key", KeyFile, other.PEM},
		{"the certificate of another key", CertFile, other.PEM},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := Open(dir); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, tt.file)
			if err := os.WriteFile(file, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir); err == nil {
				t.Error("Open succeeded")
			}
			if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, tt.content) {
				t.Errorf("Open replaced the file: %q, %v", got, err)
			}
		})
	}
}

func TestOpenReplacesAnAuthorityThatRunsOut(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(caLife - serverLife + time.Hour)
		second, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if first.Cert.Equal(second.Cert) {
			t.Error("Open returned an authority that ends before its server certificates")
		}
	})
}
