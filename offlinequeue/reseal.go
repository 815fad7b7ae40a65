package offlinequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// This file finds out which key a queue is encrypted with, and encrypts one that is not,
// or with another key. That is made beside the queue, from Badger, and takes its place:
//
//	sealed/          a queue being made; nothing of it counts
//	key              names its key: from here on it counts
//	*.old            what it took the place of, until that is deleted
//
// It may be cut off anywhere.
const (
	sealedName = "sealed"
	oldSuffix  = ".old"
)

// keyOf is the id of the key that the queue in dir, with that journal, is encrypted
// with; "": it is not. told: there is something that tells.
func keyOf(dir string, journal disk) (id string, told bool, err error) {
	id, noted, err := readID(dir)
	if err != nil || id != "" {
		return id, true, err
	}
	if id, told, err = headsKey(journal); err != nil || told {
		return id, told, err
	}
	if noted {
		return "", true, fmt.Errorf("%w: the file %s cannot be read and no segment of the journal is there to tell", ErrKey, filepath.Join(dir, keyName))
	}
	for _, name := range []string{formatName, storeName} {
		there, err := exists(filepath.Join(dir, name))
		if err != nil || there {
			return "", true, err
		}
	}
	return "", false, nil
}

// readID reads the file that names a directory's key; id "": it does not say.
func readID(dir string) (id string, noted bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, keyName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	id, _ = decodeID(b)
	return id, true, nil
}

func writeID(dir, id string) error {
	return writeFile(filepath.Join(dir, keyName), encodeID(id))
}

// headsKey is what the heads of a journal say.
func headsKey(d disk) (id string, told bool, err error) {
	j, err := openJournal(d, 0, nil)
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	for _, s := range j.segments {
		b, err := (&window{f: s}).bytes(0, headMost)
		if err != nil {
			return "", false, err
		}
		if _, named, ok := decodeHead(b); ok {
			if told = true; named != "" {
				return named, true, nil
			}
		}
	}
	return "", told, nil
}

// keyFor picks the key with that id; nil: there is none to be used.
func keyFor(keys []Key, id string) (*Key, error) {
	if id == "" {
		return nil, nil
	}
	var given []string
	for i, k := range keys {
		if k.ID() == id {
			return &keys[i], nil
		}
		given = append(given, k.ID())
	}
	if len(given) == 0 {
		return nil, fmt.Errorf("%w: it is encrypted with key %s, and no key was given", ErrKey, id)
	}
	return nil, fmt.Errorf("%w: it is encrypted with key %s, and the key given is %s", ErrKey, id, strings.Join(given, ", "))
}

// unlock finds the key of a queue that is there, and gives a new one its own; the lock
// is held. A queue that is not encrypted, or with a key that was used before, is
// encrypted with the first of the keys.
func (q *Queue) unlock(o Options) error {
	own, other := q.disk, disk(nil)
	if m := q.mirrorNow(); m != nil {
		own, other = m.own, m.other
	}
	if err := q.replaced(q.dir); err != nil {
		return err
	}
	id, told, err := keyOf(q.dir, own)
	if err != nil {
		return err
	}
	if !told && other != nil {
		// A new disk beside a second copy: it goes on as that is. One that cannot be
		// read is away, and will be said to be.
		if there, known, err := keyOf(q.mirrorDir, other); err == nil || errors.Is(err, ErrKey) {
			if id, told = there, known; err != nil {
				return err
			}
		}
	}
	was, err := keyFor(o.Keys, id)
	if err != nil {
		return err
	}
	if len(o.Keys) == 0 {
		return nil
	}
	q.seal = newSeal(o.Keys[0])
	if told && id != q.seal.id {
		if err := q.reseal(o, was); err != nil {
			return fmt.Errorf("encrypt it: %w", err)
		}
		for _, aside := range asides(q.dir) {
			q.log.Warn("what was set aside before is not encrypted; delete it when nobody needs it", "dir", aside)
		}
	}
	if noted, _, err := readID(q.dir); err != nil || noted == q.seal.id {
		return err
	}
	return writeID(q.dir, q.seal.id)
}

// asides are the damaged stores that were set aside.
func asides(dir string) []string {
	names, _ := filepath.Glob(filepath.Join(dir, asideName+"*")) // the pattern is right
	return names
}

// reseal encrypts a queue that was under another key (nil: none) with q's.
func (q *Queue) reseal(o Options, was *Key) error {
	if o.disk != nil {
		return errors.New("a journal elsewhere is not encrypted anew")
	}
	before, wasKey, err := q.bringLevel(o, was)
	if err != nil {
		return err
	}
	made := filepath.Join(q.dir, sealedName)
	if err := q.roomToReseal(); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(made), os.MkdirAll(made, 0o700), writeID(made, q.seal.id)); err != nil {
		return err
	}
	if err := q.fault("encrypt:store"); err != nil {
		return err
	}
	if err := copyStore(filepath.Join(made, storeName), filepath.Join(q.dir, storeName), q.seal.storeKey(), wasKey); err != nil {
		return err
	}
	// The journal is made of what stands, as if it had been lost.
	n := prepared(made, Options{
		MaxBytes: o.MaxBytes, Log: slog.New(slog.DiscardHandler), Now: o.Now, Free: o.Free, Keys: []Key{q.seal.main},
		Fault: func(step string) error { return q.fault("encrypt:journal:" + step) }, segmentSize: o.segmentSize,
	})
	if err := n.open(Options{Keys: []Key{q.seal.main}}); err != nil {
		return err
	}
	go n.write()
	go n.upkeep()
	after := n.content()
	if err := n.Close(); err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("what was made is not what was there: %+v, was %+v", after, before)
	}
	if q.mirrorDir != "" {
		if err := q.fault("encrypt:mirror"); err != nil {
			return err
		}
		if err := q.resealMirror(filepath.Join(made, journalName)); err != nil {
			return fmt.Errorf("the second copy: %w", err)
		}
	}
	if err := q.fault("encrypt:count"); err != nil {
		return err
	}
	if err := errors.Join(writeFormat(q.dir, true), writeID(q.dir, q.seal.id)); err != nil {
		return err
	}
	q.log.Info("the queue is encrypted", "dir", q.dir, "key", q.seal.id)
	return q.replaced(q.dir)
}

// content is what two queues that hold the same have in common.
type content struct {
	seq, held, tail uint64
	head            string
	cursor          Cursor
	damaged         int
}

func (q *Queue) content() content {
	q.mu.Lock()
	defer q.mu.Unlock()
	return content{q.st.Seq, q.st.Held, q.st.Tail, q.st.Head, q.st.Cursor, len(q.st.Damaged)}
}

// bringLevel opens the queue as it is, heals it, and has everything in Badger; the
// second copy, too, has everything.
func (q *Queue) bringLevel(o Options, was *Key) (m content, storeKey []byte, err error) {
	old := Options{
		MaxBytes: o.MaxBytes, Log: q.log, Now: o.Now, Free: o.Free, Fault: o.Fault,
		Mirror: o.Mirror, Owner: o.Owner, segmentSize: o.segmentSize, locked: true, whole: true,
	}
	if was != nil {
		old.Keys = []Key{*was}
		storeKey = newSeal(*was).storeKey()
	}
	f := prepared(q.dir, old)
	if err := f.open(old); err != nil {
		return m, nil, err
	}
	go f.write()
	go f.upkeep()
	if err = f.twice(); err == nil {
		err = f.level()
	}
	m = f.content()
	return m, storeKey, errors.Join(err, f.Close())
}

// roomToReseal wants as much as there is once more.
func (q *Queue) roomToReseal() error {
	free, err := q.free(q.dir)
	if err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if need := uint64(diskUse(q.dir)) + reserveOpen + 2*uint64(q.segmentSize); free < need {
		return fmt.Errorf("%w: %d bytes are free, %d are needed to encrypt the queue", ErrFull, free, need)
	}
	return nil
}

// copyStore copies every key of a store, with the number of the record that wrote it.
func copyStore(to, from string, toKey, fromKey []byte) (err error) {
	quiet := slog.New(slog.DiscardHandler)
	in, err := openStore(from, quiet, fromKey)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	out, err := openStore(to, quiet, toKey)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	type pair struct {
		key    string
		value  []byte
		number uint64
	}
	var some []pair
	size := 0
	flush := func() error {
		err := out.update(func(t *tx) error {
			for _, p := range some {
				if err := t.set(p.key, p.value, p.number); err != nil {
					return err
				}
			}
			return nil
		})
		some, size = some[:0], 0
		return err
	}
	err = in.view(func(t *tx) error {
		return t.scan("", "", false, func(key string, value []byte, number uint64) (bool, error) {
			some, size = append(some, pair{key, value, number}), size+len(key)+len(value)
			if size > groupBytes || len(some) >= 2000 {
				return true, flush()
			}
			return true, nil
		})
	})
	if err == nil {
		err = flush()
	}
	return errors.Join(err, out.sync())
}

// resealMirror makes the second copy's part of what takes the old one's place.
func (q *Queue) resealMirror(journal string) error {
	made := filepath.Join(q.mirrorDir, sealedName)
	to, from := osDisk(filepath.Join(made, journalName)), osDisk(journal)
	if err := errors.Join(os.RemoveAll(made), os.MkdirAll(string(to), 0o700)); err != nil {
		return err
	}
	names, err := from.list()
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) {
			if err := copyFile(to, from, name); err != nil {
				return err
			}
		}
	}
	return errors.Join(to.sync(), writeID(made, q.seal.id))
}

// unlockMirror lets a second copy count whose queue was encrypted meanwhile; dir is its
// place. One with another key does not.
func (q *Queue) unlockMirror(dir string) error {
	journal := osDisk(filepath.Join(dir, journalName))
	id, _, err := keyOf(dir, journal)
	if err != nil {
		return err
	}
	if id != q.seal.name() {
		ready, _, err := readID(filepath.Join(dir, sealedName))
		if err != nil {
			return err
		}
		_, told, err := headsKey(journal)
		switch {
		case err != nil:
			return err
		case q.seal != nil && (ready == q.seal.id || !told):
			if err := errors.Join(writeFormat(dir, true), writeID(dir, q.seal.id)); err != nil {
				return err
			}
		case id == "":
			return errors.New("what it holds is not encrypted as the queue is; keep it elsewhere, or empty it")
		default:
			return fmt.Errorf("%w: what it holds is encrypted with key %s, not as the queue is", ErrKey, id)
		}
	}
	return q.replaced(dir)
}

// replaced ends what was begun in a directory: what was made takes the place of what is
// there, if it counts; otherwise it goes.
func (q *Queue) replaced(dir string) error {
	made := filepath.Join(dir, sealedName)
	if there, err := exists(made); err != nil || !there {
		return err
	}
	is, _, err := readID(dir)
	if err != nil {
		return err
	}
	will, _, err := readID(made)
	if err != nil {
		return err
	}
	if will == "" || will != is {
		return os.RemoveAll(made)
	}
	for _, name := range []string{storeName, journalName} {
		if err := q.fault("encrypt:replace-" + name); err != nil {
			return err
		}
		if err := replace(filepath.Join(dir, name), filepath.Join(made, name)); err != nil {
			return err
		}
	}
	if err := q.fault("encrypt:remove"); err != nil {
		return err
	}
	if err := keepAsides(filepath.Join(dir, journalName)); err != nil {
		return err
	}
	return errors.Join(
		syncDir(dir),
		os.RemoveAll(filepath.Join(dir, storeName+oldSuffix)),
		os.RemoveAll(filepath.Join(dir, journalName+oldSuffix)),
		os.RemoveAll(made),
		syncDir(dir))
}

// replace puts made in the place of path, if it is not there yet.
func replace(path, made string) error {
	if there, err := exists(made); err != nil || !there {
		return err
	}
	there, err := exists(path)
	if err == nil && there {
		err = errors.Join(os.RemoveAll(path+oldSuffix), os.Rename(path, path+oldSuffix))
	}
	if err != nil {
		return err
	}
	return errors.Join(os.Rename(made, path), syncDir(filepath.Dir(path)))
}

// keepAsides keeps what a second copy was found to hold of another history.
func keepAsides(journal string) error {
	names, err := filepath.Glob(filepath.Join(journal+oldSuffix, asideName+"*"))
	for _, name := range names {
		err = errors.Join(err, os.Rename(name, filepath.Join(journal, filepath.Base(name))))
	}
	return err
}

// locked is the directory's key, for one that is only read: nil, or that one of keys.
func locked(dir string, keys []Key) ([]Key, error) {
	is, _, err := readID(dir)
	if err != nil {
		return nil, err
	}
	if will, _, err := readID(filepath.Join(dir, sealedName)); err != nil {
		return nil, err
	} else if is != "" && will == is {
		return nil, errors.New("it was being encrypted: the hub's next start ends that")
	}
	id, _, err := keyOf(dir, osDisk(filepath.Join(dir, journalName)))
	if err != nil {
		return nil, err
	}
	k, err := keyFor(keys, id)
	if k == nil {
		return nil, err
	}
	return []Key{*k}, nil
}
