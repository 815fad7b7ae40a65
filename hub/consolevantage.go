package hub

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"rsc.io/qr"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/internal/web"
)

// vantageData is a code that was made, shown once.
type vantageData struct {
	URL, Code string
	Expires   time.Time
	Readers   int
	QR        string
	Size      int
}

// vantagePage is what opens on the till or phone. No reader's address: its code is none.
type vantagePage struct {
	Code, Port string
	Known      bool
	Wrong      string
	Readers    []string
	Tries      int
}

// vantageView is what a device saw, with what it tells beside the hub's own sight.
type vantageView struct {
	diagnostics.Vantage
	diagnostics.Joined
}

// lookFrom makes a code by which a till or phone tells what it sees.
func (c *console) lookFrom(w http.ResponseWriter, r *http.Request, _ web.Session) {
	v := c.hub.vantages.invite(c.hub.readersToTry(), c.hub.now())
	d := vantageData{URL: c.servers.tillURL() + "/console/vantage?code=" + url.QueryEscape(v.code), Code: v.code, Expires: v.expires, Readers: len(v.readers)}
	code, err := qr.Encode(d.URL, qr.L)
	if err != nil {
		c.hub.log.Warn("draw code", "err", err)
	} else {
		d.QR, d.Size = qrPath(code), code.Size+8
	}
	c.show(w, r, "vantagecode.html", web.Page{Title: "Look from a till or phone", Here: "/console/network", Data: d})
}

// lookedNot takes a person's word that the page does not open on a device.
func (c *console) lookedNot(w http.ResponseWriter, r *http.Request, _ web.Session) {
	now := c.hub.now()
	v := diagnostics.Vantage{At: now}
	if text := strings.TrimSpace(r.PostFormValue("address")); text != "" {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			doors.WriteError(w, doors.ErrInvalidField.With("%.40q is no address", text))
			return
		}
		c.hub.place(&v, addr.Unmap())
	}
	v.Others = c.hub.vantages.others(v.Addr, now)
	if c.hub.vantages.take(r.PostFormValue("code"), v) {
		c.hub.monitor.judge()
		c.news.Tell()
	}
	web.Back(w, r, "/console/network#vantages")
}

// vantage is the page on the till or phone. It needs no session and no right: its code is
// good for one answer.
func (c *console) vantage(w http.ResponseWriter, r *http.Request) {
	code, refused := c.hub.vantages.known(r.URL.Query().Get("code"), c.hub.now())
	d := vantagePage{Code: code.code, Known: refused == nil, Tries: vantageAsks, Port: readerPort}
	status := http.StatusOK
	if refused != nil {
		status, d.Wrong = refused.Status, refused.Message
	}
	p := web.Page{Title: "What this device sees", Bare: true}
	for _, a := range code.readers {
		d.Readers, p.Connect = append(d.Readers, a.String()), append(p.Connect, "https://"+net.JoinHostPort(a.String(), readerPort))
	}
	p.Data = d
	c.site.Show(w, r, status, "vantage.html", p)
}

// vantageSaw takes what the page saw.
func (c *console) vantageSaw(w http.ResponseWriter, r *http.Request) {
	web.Secure(w.Header())
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, vantageBody))
	if err != nil {
		doors.WriteError(w, doors.ErrInvalidField.With("this is too much"))
		return
	}
	h, now := c.hub, c.hub.now()
	report, err := parseVantage(body)
	if err != nil {
		doors.WriteError(w, doors.ErrInvalidField.With("%v", err))
		return
	}
	code, refused := h.vantages.known(report.Code, now)
	if refused != nil {
		doors.WriteError(w, refused)
		return
	}
	v, err := report.seen(code.readers)
	if err != nil {
		doors.WriteError(w, doors.ErrInvalidField.With("%v", err))
		return
	}
	v.At = now
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		h.place(&v, from.Addr().Unmap())
	}
	if !h.vantages.take(code.code, v) {
		doors.WriteError(w, doors.ErrForbidden.With("this code has told what it saw already"))
		return
	}
	h.monitor.judge()
	c.news.Tell()
	writeJSON(w, struct {
		Said string `json:"said"`
	}{diagnostics.Join(h.monitor.seenNow(), v).Sentence})
}

// vantageViews are the devices that have told, newest first.
func (c *console) vantageViews() (out []vantageView) {
	list := c.hub.vantages.list(c.hub.now())
	if len(list) == 0 {
		return nil
	}
	in := c.hub.monitor.seenNow()
	for i := len(list) - 1; i >= 0; i-- {
		out = append(out, vantageView{list[i], diagnostics.Join(in, list[i])})
	}
	return out
}
