package health

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/quietws/quietws/core"
)

// maxReport is the size of the longest body, in bytes. The kubelet reads
// 10 KB (maxRespBodyLength in its pkg/probe/http).
const maxReport = 10_000

// detail is one check in a report, in the field names of
// draft-inadarei-api-health-check-06 §4.
type detail struct {
	Status        string   `json:"status"`
	ObservedValue *float64 `json:"observedValue,omitempty"`
	ObservedUnit  string   `json:"observedUnit,omitempty"`
	Time          string   `json:"time,omitempty"`
	Output        string   `json:"output,omitempty"`
}

// report returns the long answer: the verdict of the route, and its checks. Those that do
// not pass come first, so that they are included if not all fit.
func (s *snapshot) report(r core.Route, say phrase, q *query) core.Answer {
	type row struct {
		*view
		status Status
	}
	var rows []row
	for i, v := range s.checks {
		if status := v.counts(routeKinds[r]); status != 0 && !q.skip.has(i) {
			rows = append(rows, row{v, status})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(b.status, a.status) })

	// This leaves enough room for the notes, which are few and short.
	const room = maxReport - 512
	var checks []byte
	left := len(rows)
	for _, v := range rows {
		one := v.detail(v.status)
		if len(checks)+len(one) > room {
			break
		}
		if left < len(rows) {
			checks = append(checks, ',')
		}
		checks = append(checks, one...)
		left--
	}

	var notes []string
	if r == core.RouteHealth && len(rows) > 0 {
		notes = append(notes, "the checks are shown here but do not count")
	}
	if q.excludes {
		notes = append(notes, "some checks are excluded by the request")
	}
	if q.unknown {
		notes = append(notes, "a name in exclude is not a check here")
	}
	if left > 0 {
		notes = append(notes, fmt.Sprintf("%d more checks do not fit", left))
	}

	body := opening(say)
	if notes != nil {
		body = append(append(body, `,"notes":`...), encode(notes)...)
	}
	body = append(append(append(body, `,"checks":{`...), checks...), "}}\n"...)
	return answer(say.code(), typeJSON, string(body))
}

// opening returns the beginning of a body, without the last brace.
func opening(p phrase) []byte {
	b := encode(struct {
		Status string `json:"status"`
		Output string `json:"output,omitempty"`
	}{p.status().word(), p.output()})
	return b[:len(b)-1]
}

// detail returns v as a member of the checks object. The key is the name; the draft allows
// a second part but does not require it.
func (v *view) detail(status Status) []byte {
	d := detail{Status: status.word()}
	if status != Pass {
		d.Output = v.text
	}
	if !v.at.IsZero() {
		if v.unit != "" {
			d.ObservedValue, d.ObservedUnit = &v.value, v.unit
		}
		d.Time = v.at.UTC().Format(time.RFC3339)
	}
	return append(append(encode(v.name), ':'), encode([]detail{d})...)
}

// encode cannot fail: its values are texts and finite numbers.
func encode(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}
