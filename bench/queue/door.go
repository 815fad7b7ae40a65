package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"storehub/doors"
	"storehub/offlinequeue"
)

// noStore is the handler without storage, which the others are compared with.
const noStore = "none"

// doorStores are behind the handler in turn.
var doorStores = []string{noStore, "file", "queue"}

// connections is how many tills ask at the same time, each over one connection.
const connections = 64

// door answers POST /v1/operations as the hub does, from whatever store is behind it.
type door struct {
	doors.Backend // what this measurement does not ask for
	store         store
}

const doorStore, doorCredential = "0412", "credential-of-the-bench"

// Till is doors.Backend's.
func (d *door) Till(_ context.Context, credential string) (doors.Till, error) {
	if credential != doorCredential {
		return doors.Till{}, doors.ErrUnauthorized
	}
	return doors.Till{Name: "till 1", Scope: doors.ScopePOS, Mode: doors.Test}, nil
}

// Put is doors.Backend's.
func (d *door) Put(ctx context.Context, t doors.Till, key string, op doors.Operation) (doors.Operation, error) {
	op.ID = doors.OperationID(doorStore, t.Mode, t.Name, key)
	op.Till, op.Mode, op.State, op.CreatedAt = t.Name, t.Mode, doors.Pending, time.Now().UTC()
	switch s := d.store.(type) {
	case nil:
	case *queue:
		_, err := s.q.Put(ctx, offlinequeue.Op{
			ID: op.ID, Hash: doors.BodyHash(op), Kind: string(op.Kind), Ref: op.Ref, Amount: op.Amount, Currency: op.Currency, Data: op.Data,
			Till: op.Till, Mode: string(op.Mode), Money: op.Kind.Money(), Created: op.CreatedAt, Deadline: op.CreatedAt.Add(47 * time.Hour),
		})
		if err != nil {
			return doors.Operation{}, err
		}
	default:
		payload, err := json.Marshal(op)
		if err == nil {
			err = s.Put(ctx, payload)
		}
		if err != nil {
			return doors.Operation{}, err
		}
	}
	return op, nil
}

// enqueueByDoor is a child's run: connections ask, each again as soon as it is answered.
func enqueueByDoor(o order) (err error) {
	d := &door{}
	if o.Store != noStore {
		c, err := contestantNamed(o.Store)
		if err != nil {
			return err
		}
		if d.store, err = c.open(o.Dir); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: doors.Handler(d, doors.Options{})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.Producers, MaxConnsPerHost: o.Producers}}
	caller := &caller{client: client, url: "http://" + listener.Addr().String() + "/v1/operations", run: strconv.FormatInt(time.Now().UnixNano(), 36)}
	e, err := measured(caller, o)
	client.CloseIdleConnections()
	err = errors.Join(err, server.Close())
	if s := <-served; !errors.Is(s, http.ErrServerClosed) {
		err = errors.Join(err, s)
	}
	if d.store != nil {
		err = errors.Join(err, d.store.Close())
	}
	if err != nil {
		return err
	}
	e.Written = -1 // an operation is not a payload of the other tables
	return tell(e)
}

// measured has producers put for as long as was ordered.
func measured(s putter, o order) (e enqueued, err error) {
	used, peak, began := ownTime(), watchMemory(), time.Now()
	end := began.Add(time.Duration(o.Seconds * float64(time.Second)))
	h, err := produce(s, o.Producers, func(int64) bool { return time.Now().Before(end) })
	took := time.Since(began)
	e.RssAnon = peak()
	if err != nil {
		return e, err
	}
	e.Ops = h.n
	e.PerSecond = float64(h.n) / took.Seconds()
	e.P50us, e.P99us = us(h.quantile(0.5)), us(h.quantile(0.99))
	e.CPUus = (ownTime() - used) / float64(h.n) * 1e6
	return e, nil
}

// caller is a till.
type caller struct {
	client *http.Client
	url    string
	run    string // keys do not repeat
}

// Put asks for one operation; the payload only gives it a number that no other has.
func (c *caller) Put(ctx context.Context, payload []byte) error {
	n, err := numberOf(payload)
	if err != nil {
		return err
	}
	body := fmt.Appendf(nil, `{"kind":"capture","ref":"pi_%s%d","amount":1250,"currency":"eur","data":{"order":"A-%d"}}`, c.run, n, n)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+doorCredential)
	r.Header.Set("Idempotency-Key", c.run+"-"+strconv.FormatInt(n, 10))
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusAccepted {
		return fmt.Errorf("POST /v1/operations: %s: %s", answer.Status, text)
	}
	return nil
}
