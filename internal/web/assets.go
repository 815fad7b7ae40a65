package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static/*.css static/*.js static/*.svg
var static embed.FS

// assets are the files of static/, each under a name that holds its hash: a browser asks
// for one once, and for another when it has changed.
type assets struct {
	base   string
	urls   map[string]string // file → URL
	served map[string]asset  // URL → what is there
}

type asset struct {
	kind, tag    string
	plain, small []byte
}

func newAssets(base string) *assets {
	a := &assets{base: base, urls: map[string]string{}, served: map[string]asset{}}
	files, err := fs.Glob(static, "static/*")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for _, file := range files {
		b, err := static.ReadFile(file)
		if err != nil {
			panic(err) // it is built in
		}
		sum := sha256.Sum256(b)
		tag := hex.EncodeToString(sum[:8])
		ext := path.Ext(file)
		url := path.Join(base, strings.TrimSuffix(path.Base(file), ext)+"."+tag+ext)
		a.urls[path.Base(file)] = url
		a.served[url] = asset{kind: mime.TypeByExtension(ext), tag: `"` + tag + `"`, plain: b, small: compressed(b, gzip.BestCompression)}
	}
	return a
}

func (a *assets) url(name string) string {
	url, ok := a.urls[name]
	if !ok {
		panic("web: no asset " + name) // a template names it: its test fails
	}
	return url
}

// ServeHTTP implements [http.Handler].
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	Secure(h)
	f, ok := a.served[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.tag)
	h.Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		_, _ = w.Write(f.small)
		return
	}
	_, _ = w.Write(f.plain)
}

// writeCompressed sends a body whole, small where the browser takes it so.
func writeCompressed(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Vary", "Accept-Encoding")
	if takesGzip(r) && len(body) > 512 {
		w.Header().Set("Content-Encoding", "gzip")
		body = compressed(body, gzip.BestSpeed)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the browser went away: nothing to tell it
}

func takesGzip(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

func compressed(b []byte, level int) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, level)
	if err != nil {
		panic(err) // the level is a constant
	}
	_, _ = z.Write(b) // to memory
	_ = z.Close()
	return out.Bytes()
}
