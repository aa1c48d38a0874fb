package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// embryonicResets is how many connections were reset that the kernel had not yet
// handed to a listener (TcpExtEmbryonicRsts of nstat(8)).
//
// A connect ends well when the SYN-ACK arrives. If the listener's queue has no
// room for the ACK that answers it (somaxconn, 4,096; TcpExtListenOverflows),
// Linux drops that, and waits for the client to say something. A client that
// closes says FIN until it is heard. One that resets is gone: connect succeeded
// and no server ever hears of it. All that is lost so is in this counter; with
// SYN cookies it is not, which need a queue of 4,096 handshakes under way.
func embryonicResets() (int, error) {
	const file, group, counter = "/proc/net/netstat", "TcpExt:", "EmbryonicRsts"
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var names []string // a line of these comes before the one of figures
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != group {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, name := range names {
			if name == counter && i < len(fields) {
				return strconv.Atoi(fields[i])
			}
		}
	}
	return 0, fmt.Errorf("%s: no %s%s", file, group, counter)
}

// all scrapes until every one of so many connections has that class, but for
// those that the kernel may have dropped since its counter stood at resets. What
// else is reset on this host is among them: lost is the most that it can be.
func (s *scraper) all(came int, class string, before counters, resets int) (c counters, lost int, err error) {
	for end := time.Now().Add(patience); ; {
		if c, err = s.rest(); err != nil {
			return c, lost, err
		}
		now, err := embryonicResets()
		if err != nil {
			return c, lost, err
		}
		lost = now - resets
		if newlyClosed(c, before)[class] >= came-lost || time.Now().After(end) {
			return c, lost, nil
		}
	}
}
