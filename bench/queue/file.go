package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// file is the reference: frames (length, checksum, payload) behind each other in
// one file that is not preallocated, one write and one flush for each group.
type file struct {
	*group
	f   *os.File
	buf []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func openFile(dir string) (store, error) {
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	s := &file{f: f}
	s.group = newGroup(s.commit)
	return s, nil
}

func (s *file) commit(payloads [][]byte) error {
	s.buf = s.buf[:0]
	for _, p := range payloads {
		s.buf = binary.LittleEndian.AppendUint32(s.buf, uint32(len(p)))
		s.buf = binary.LittleEndian.AppendUint32(s.buf, crc32.Checksum(p, castagnoli))
		s.buf = append(s.buf, p...)
	}
	if _, err := s.f.Write(s.buf); err != nil {
		return err
	}
	return flush(s.f)
}

func (s *file) each(fn func([]byte) bool) error {
	r := bufio.NewReaderSize(io.NewSectionReader(s.f, 0, 1<<62), 1<<20)
	for n := 0; ; n++ {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		} else if err != nil {
			return err
		}
		p := make([]byte, binary.LittleEndian.Uint32(head[:]))
		if _, err := io.ReadFull(r, p); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil // torn: never acknowledged
		} else if err != nil {
			return err
		}
		if crc32.Checksum(p, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return fmt.Errorf("read frame %d: its checksum is wrong", n)
		}
		if !fn(p) {
			return nil
		}
	}
}

func (s *file) Close() error {
	s.stop()
	return s.f.Close()
}
