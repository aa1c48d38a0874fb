package conn

import (
	"fmt"
	"testing"

	"github.com/quietws/quietws/core/internal/usererror/hostile"
)

// Whatever error a listener or a function of tls.Config returns, a connection ends in a
// class.
func TestHostileErrors(t *testing.T) {
	for i, err := range hostile.Errors() {
		t.Run(fmt.Sprintf("%d %T", i, err), func(t *testing.T) {
			if kind := endOf(err); kind != endOther {
				t.Errorf("the end %v", kind)
			}
			if e := clearAlert(err, 0); e == nil {
				t.Error("the error is lost")
			}
			tlsReason(err, 0, true)
			classify(evidence{seen: true, tls: true, in: 5, tlsErr: err})
		})
	}
}
