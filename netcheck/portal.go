package netcheck

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// challenges are pages whose true answer is known. A portal answers in their place.
var challenges = []struct {
	host, path string
	status     int
	body       string
}{
	{"connectivitycheck.gstatic.com", "/generate_204", 204, ""},
	{"captive.apple.com", "/hotspot-detect.html", 200, "Success"},
}

// probePortal asks two known pages over plain HTTP. Both must be answered by
// somebody else, or it is no portal but one page that changed.
func (c *checker) probePortal(ctx context.Context) Result {
	type said struct {
		detail, location string
		genuine, foreign bool
	}
	got := make([]said, len(challenges))
	var wg sync.WaitGroup
	for i, ch := range challenges {
		wg.Go(func() {
			a := c.lookup(ctx, ch.host)
			if len(a.Addrs) == 0 {
				got[i].detail = "not resolved: " + a.said()
				return
			}
			ctx, cancel := context.WithTimeout(ctx, budgetConnect)
			defer cancel()
			conn, err := c.dial(ctx, "tcp", net.JoinHostPort(a.Addrs[0].String(), "80"))
			if err != nil {
				got[i].detail = "no connection: " + problem(err)
				return
			}
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
			defer stop()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: storehub\r\nConnection: close\r\n\r\n", ch.path, ch.host)
			resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 64<<10)), nil)
			if err != nil {
				got[i].detail = "no answer: " + problem(err)
				return
			}
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
			resp.Body.Close()
			got[i].detail = fmt.Sprintf("HTTP %d", resp.StatusCode)
			got[i].location = resp.Header.Get("Location")
			got[i].genuine = resp.StatusCode == ch.status && strings.Contains(string(body), ch.body)
			// RFC 6585 has a status for portals alone; any other 5xx is the page's own trouble.
			got[i].foreign = !got[i].genuine && (resp.StatusCode < 500 || resp.StatusCode == http.StatusNetworkAuthenticationRequired)
			if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil && got[i].genuine {
				c.readClock("http://"+ch.host, date)
			}
		})
	}
	wg.Wait()
	ev := map[string]any{}
	genuine, foreign, where := 0, 0, ""
	for i, g := range got {
		ev[challenges[i].host] = g.detail
		if g.genuine {
			genuine++
		}
		if g.foreign {
			foreign++
			if g.location != "" {
				where = " that leads to " + g.location
				ev["location"] = g.location
			}
		}
	}
	ev["genuine"] = genuine
	switch {
	case foreign > 0 && genuine == 0:
		return Result{Status: Fail, Code: "captive_portal", Evidence: ev, Detail: "another page answers in place of the internet" + where}
	case genuine > 0:
		return Result{Status: Pass, Evidence: ev, Detail: "plain HTTP reaches the pages it asked for"}
	}
	return Result{Status: Unknown, Evidence: ev, Detail: "neither of the two known pages answered"}
}
