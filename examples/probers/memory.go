package main

import (
	"fmt"
	"os"
	"strings"
)

// mib is a mebibyte.
const mib = 1 << 20

// memory is what a process has in memory, and the most that it has had.
type memory struct{ now, peak int }

// memory reads it from the kernel (proc(5): VmRSS and VmHWM of status).
func (s *server) memory() (m memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(status)) {
		for name, to := range map[string]*int{"VmRSS:": &m.now, "VmHWM:": &m.peak} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				if _, err := fmt.Sscanf(rest, "%d kB", to); err != nil {
					return m, fmt.Errorf("%q: %w", line, err)
				}
				*to <<= 10
			}
		}
	}
	return m, nil
}

// forgetPeak makes now the most that it has had (proc(5): clear_refs).
func (s *server) forgetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0)
}

// megabytes writes n as a figure of a table.
func megabytes(n int) string { return fmt.Sprintf("%.1f MiB", float64(n)/mib) }
