package core

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/quietws/quietws/core/internal/conn"
)

// containedConfig returns config with panics in its functions contained: net/http
// recovers them, but fasthttp runs the handshake where a panic ends the process. A config
// without functions is returned unchanged. The copies are made for each handshake, so
// that changes of the session ticket keys are seen.
func (g *Guard) containedConfig(config *tls.Config) *tls.Config {
	if config == nil || config.GetConfigForClient == nil && config.GetCertificate == nil &&
		config.VerifyPeerCertificate == nil && config.VerifyConnection == nil &&
		config.GetEncryptedClientHelloKeys == nil && config.WrapSession == nil && config.UnwrapSession == nil {
		return config
	}
	outer := g.contain(config.Clone())
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (chosen *tls.Config, err error) {
		if config.GetConfigForClient != nil {
			err = g.inTLS("tls.Config.GetConfigForClient", func() (err error) { chosen, err = config.GetConfigForClient(hello); return err })
			if err != nil {
				return nil, err
			}
		}
		if chosen == nil {
			chosen = config
		}
		return g.contain(chosen.Clone()), nil
	}
	return outer
}

// contain puts a recover around each function of c that a handshake calls, except
// GetConfigForClient.
func (g *Guard) contain(c *tls.Config) *tls.Config {
	if f := c.GetCertificate; f != nil {
		c.GetCertificate = func(hello *tls.ClientHelloInfo) (cert *tls.Certificate, err error) {
			err = g.inTLS("tls.Config.GetCertificate", func() (err error) { cert, err = f(hello); return err })
			return cert, err
		}
	}
	if f := c.VerifyPeerCertificate; f != nil {
		c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			return g.inTLS("tls.Config.VerifyPeerCertificate", func() error { return f(raw, chains) })
		}
	}
	if f := c.VerifyConnection; f != nil {
		c.VerifyConnection = func(state tls.ConnectionState) error {
			return g.inTLS("tls.Config.VerifyConnection", func() error { return f(state) })
		}
	}
	if f := c.GetEncryptedClientHelloKeys; f != nil {
		c.GetEncryptedClientHelloKeys = func(hello *tls.ClientHelloInfo) (keys []tls.EncryptedClientHelloKey, err error) {
			err = g.inTLS("tls.Config.GetEncryptedClientHelloKeys", func() (err error) { keys, err = f(hello); return err })
			return keys, err
		}
	}
	if f := c.WrapSession; f != nil {
		c.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) (ticket []byte, err error) {
			err = g.inTLS("tls.Config.WrapSession", func() (err error) { ticket, err = f(state, session); return err })
			return ticket, err
		}
	}
	if f := c.UnwrapSession; f != nil {
		c.UnwrapSession = func(identity []byte, state tls.ConnectionState) (session *tls.SessionState, err error) {
			err = g.inTLS("tls.Config.UnwrapSession", func() (err error) { session, err = f(identity, state); return err })
			return session, err
		}
	}
	return c
}

// inTLS calls a function of the application's tls.Config. A panic in it becomes the error
// of the handshake.
func (g *Guard) inTLS(name string, f func() error) (err error) {
	if !g.contained(name, func() { err = f() }) {
		err = conn.ErrTLSPanicked
	}
	return err
}
