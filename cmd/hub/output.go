package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// writeJSON writes one value as a document of its own.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table writes rows in columns. Cells may come from outside: what could move the
// cursor is left out.
func table(w io.Writer, head []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if head != nil {
		rows = append([][]string{head}, rows...)
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = printable(cell); cells[i] == "" {
				cells[i] = "-"
			}
		}
		if _, err := fmt.Fprintln(t, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// printable drops control characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// moment is a time as a person in the shop reads it.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// replaceFile writes a file whole or not at all, with the given mode. Where root
// writes into somebody's directory, the file is that somebody's.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	f, err := beginFile(path, mode)
	if err != nil {
		return err
	}
	return f.commit(content)
}

// pendingFile is a file that will appear under its name when it is whole.
type pendingFile struct {
	*os.File
	path string
}

// beginFile finds out that the file can be written, before anything depends on it.
func beginFile(path string, mode os.FileMode) (*pendingFile, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	p := &pendingFile{f, path}
	if err := f.Chmod(mode); err != nil {
		p.abandon()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	if err := keepOwner(f.Name()); err != nil {
		p.abandon()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return p, nil
}

// commit writes the content and gives the file its name; on disk when it returns.
func (p *pendingFile) commit(content []byte) error {
	_, err := p.Write(content)
	if err == nil {
		err = p.Sync()
	}
	if err != nil {
		p.abandon()
		return fmt.Errorf("write %s: %w", p.path, err)
	}
	if err = p.Close(); err == nil {
		err = os.Rename(p.Name(), p.path)
	}
	if err != nil {
		_ = os.Remove(p.Name())
		return fmt.Errorf("write %s: %w", p.path, err)
	}
	return syncDir(filepath.Dir(p.path))
}

// abandon leaves nothing behind.
func (p *pendingFile) abandon() {
	_ = p.Close()
	_ = os.Remove(p.Name())
}
