package main

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsd is a NATS server in this process, without a socket, with one stream in
// files and SyncAlways.
type natsd struct {
	srv    *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
}

func openNATS(dir string) (store, error) {
	srv, err := server.NewServer(&server.Options{
		ServerName: "bench", DontListen: true, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: dir, SyncAlways: true,
	})
	if err != nil {
		return nil, err
	}
	srv.Start()
	s := &natsd{srv: srv}
	if err := s.begin(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *natsd) begin() error {
	const patience = 2 * time.Minute // a stream left by SIGKILL is read again
	if !s.srv.ReadyForConnections(patience) {
		return errors.New("the server does not become ready")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if s.conn, err = nats.Connect("", nats.InProcessServer(s.srv)); err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.conn); err != nil {
		return err
	}
	s.stream, err = s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "operations", Subjects: []string{"operations"}, Storage: jetstream.FileStorage,
	})
	return err
}

func (s *natsd) Put(ctx context.Context, payload []byte) error {
	_, err := s.js.Publish(ctx, "operations", payload)
	return err
}

func (s *natsd) each(f func([]byte) bool) error {
	ctx := context.Background()
	info, err := s.stream.Info(ctx)
	if err != nil {
		return err
	}
	for n := info.State.FirstSeq; n <= info.State.LastSeq; n++ {
		m, err := s.stream.GetMsg(ctx, n)
		if err != nil {
			return err
		}
		if !f(m.Data) {
			return nil
		}
	}
	return nil
}

func (s *natsd) Close() error {
	if s.conn != nil {
		s.conn.Close()
	}
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	return nil
}
