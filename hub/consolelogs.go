package hub

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"storehub/doors"
	"storehub/internal/web"
)

// LogFile is where the end of a hub's log lies.
func LogFile(stateDir string) string { return filepath.Join(stateDir, "log", "hub.log") }

const (
	logRead  = 256 << 10 // of the log's end
	logShown = 400       // lines
)

type logsData struct {
	Search    string
	Lines     []logLine // the newest first
	Kept      bool
	Error     string
	HasBundle bool
}

type logLine struct{ Tone, Text string }

func (c *console) logs(w http.ResponseWriter, r *http.Request, in web.Session) {
	live := c.news.Stream("/console/live")
	d := logsData{Search: strings.TrimSpace(r.URL.Query().Get("q")), Kept: true, HasBundle: c.hub.parts.Bundle != nil && in.Role == roleManager}
	text, err := tail(LogFile(c.hub.cfg.StateDir), logRead)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.Kept = false
	case err != nil:
		d.Error = err.Error()
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line != "" && strings.Contains(strings.ToLower(line), strings.ToLower(d.Search)) {
			d.Lines = append(d.Lines, logLine{logTone(line), line})
		}
	}
	slices.Reverse(d.Lines)
	d.Lines = d.Lines[:min(len(d.Lines), logShown)]
	c.show(w, r, "logs.html", web.Page{Title: "Logs and bundle", Here: "/console/logs", Live: live, Data: d})
}

func logTone(line string) string {
	switch {
	case strings.Contains(line, "level=ERROR"), strings.Contains(line, `"level":"ERROR"`):
		return web.Bad
	case strings.Contains(line, "level=WARN"), strings.Contains(line, `"level":"WARN"`):
		return web.Warn
	}
	return ""
}

// tail is the end of a file, from the beginning of a line.
func tail(file string, most int64) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read log: %w", err)
	}
	from := max(0, info.Size()-most)
	b, err := io.ReadAll(io.NewSectionReader(f, from, most))
	if err != nil {
		return "", fmt.Errorf("read log: %w", err)
	}
	if from > 0 {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	return string(bytes.ToValidUTF8(b, []byte("?"))), nil
}

// bundle is `hub bundle` with the hub's last look at the network instead of a new one.
func (c *console) bundle(w http.ResponseWriter, r *http.Request, in web.Session) {
	if in.Role != roleManager {
		doors.WriteError(w, doors.ErrForbidden.With("a monitor's credential only looks"))
		return
	}
	if c.hub.parts.Bundle == nil {
		http.NotFound(w, r)
		return
	}
	b, err := c.hub.parts.Bundle(r.Context(), c.hub.monitor.lastLook())
	if err != nil {
		doors.WriteError(w, doors.ErrInternal.With("make bundle: %v", err))
		return
	}
	c.hub.log.Info("bundle downloaded", "by", in.Who)
	download(w, "storehub-bundle-"+fileName(c.hub.cfg.Store)+".zip", "application/zip", b)
}
