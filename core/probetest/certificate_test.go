package probetest

import (
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"
)

func TestCertificate(t *testing.T) {
	cert, pool, err := Certificate("app.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		ok   bool
	}{{"other.example", false}, {"192.0.2.1", false}, {"localhost", true}, {"127.0.0.1", true}, {"::1", true}, {"app.example", true}} {
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: row.name, Roots: pool}); (err == nil) != row.ok {
			t.Errorf("%s: %v, want ok %v", row.name, err, row.ok)
		}
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: x509.NewCertPool()}); err == nil {
		t.Error("a pool without the certificate trusts it")
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: time.Now()}); err != nil {
			t.Errorf("in a bubble: %v", err)
		}
	})
}
