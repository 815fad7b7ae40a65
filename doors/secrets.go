package doors

import (
	"container/list"
	"sync"
)

// secretsKept bounds the memory: a busy shop makes a few thousand payments a day.
const secretsKept = 4096

// secrets remembers the client secrets of intents made here, because apps expect
// one in the answer to a capture. They are in memory only: a client secret is
// never written down, so a restart forgets them and the answer's is empty.
type secrets struct {
	mu    sync.Mutex
	order *list.List // of [2]string{intent, secret}, newest first
	byID  map[string]*list.Element
}

func newSecrets() *secrets {
	return &secrets{order: list.New(), byID: map[string]*list.Element{}}
}

func (s *secrets) remember(intent, secret string) {
	if intent == "" || secret == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.byID[intent]; old != nil {
		s.order.Remove(old)
	}
	s.byID[intent] = s.order.PushFront([2]string{intent, secret})
	if s.order.Len() > secretsKept {
		oldest := s.order.Remove(s.order.Back()).([2]string)
		delete(s.byID, oldest[0])
	}
}

func (s *secrets) of(intent string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[intent]
	if e == nil {
		return ""
	}
	s.order.MoveToFront(e)
	return e.Value.([2]string)[1]
}
