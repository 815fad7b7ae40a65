package hub

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"storehub/offlinequeue"
)

// queueKeys reads what the queue is encrypted with at rest; none: it is not.
func queueKeys(c Config) ([]offlinequeue.Key, error) {
	if c.Queue.KeyFile == "" {
		return nil, nil
	}
	text, err := readSecret(c.Queue.KeyFile)
	if notExist(err) { // which is not that there is no queue
		return nil, fmt.Errorf("%w: queue.key_file %s does not exist", offlinequeue.ErrKey, c.Queue.KeyFile)
	}
	var keys []offlinequeue.Key
	if err == nil {
		keys, err = offlinequeue.ParseKeys([]byte(text))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: queue.key_file %s: %w", offlinequeue.ErrKey, c.Queue.KeyFile, err)
	}
	return keys, nil
}

// CheckQueueKey reports whether the key file can be read and has a key in it.
func (c Config) CheckQueueKey() error {
	_, err := queueKeys(c)
	return err
}

// checkKeyFile refuses a key that lies with what it locks: whoever takes the disk away
// has both.
func (c Config) checkKeyFile(file string) error {
	for _, with := range []struct{ key, dir string }{{"state_dir", c.StateDir}, {"queue.mirror", c.Queue.Mirror}} {
		if file != "" && with.dir != "" && within(file, with.dir) {
			return fmt.Errorf("%q: it lies in %s, so that whoever takes that away has the key too; keep it elsewhere", file, with.key)
		}
	}
	return nil
}

// within reports whether a path leads into a directory.
func within(path, dir string) bool {
	path, err1 := filepath.Abs(path)
	dir, err2 := filepath.Abs(dir)
	if errors.Join(err1, err2) != nil {
		return false
	}
	at, err := filepath.Rel(dir, path)
	return err == nil && at != ".." && !strings.HasPrefix(at, ".."+string(os.PathSeparator))
}
