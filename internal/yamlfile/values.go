package yamlfile

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Text is one value that is not empty.
func Text[C any](set func(*C, string) error) func(*C, Value) error {
	return func(c *C, v Value) error {
		if v.many {
			return errors.New("want one value, not a list")
		}
		if v.text == "" {
			return errors.New("empty; leave the key out for the default")
		}
		return set(c, v.text)
	}
}

// Path is the name of a file, as it is written.
func Path[C any](field func(*C) *string) func(*C, Value) error {
	return Text(func(c *C, s string) error { *field(c) = s; return nil })
}

// Choice is one of some words.
func Choice[C any](set func(*C, string), words ...string) func(*C, Value) error {
	return Text(func(c *C, s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("%q is not one of %s", s, strings.Join(words, ", "))
		}
		set(c, s)
		return nil
	})
}

// List is a list, each value of which passes check.
func List[C any](field func(*C) *[]string, check func(string) error) func(*C, Value) error {
	return func(c *C, v Value) error {
		if !v.many {
			return fmt.Errorf("want a list, not %q", v.text)
		}
		for _, s := range v.list {
			if err := check(s); err != nil {
				return err
			}
		}
		*field(c) = v.list
		if len(v.list) == 0 {
			*field(c) = nil
		}
		return nil
	}
}

// Number is a whole number within bounds.
func Number[C any](set func(*C, int64), least, most int64) func(*C, Value) error {
	return Text(func(c *C, s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		if n < least || n > most {
			return fmt.Errorf("%d is not between %d and %d", n, least, most)
		}
		set(c, n)
		return nil
	})
}

// Duration is written as 30s, 5m or 12h, and within bounds.
func Duration[C any](field func(*C) *time.Duration, least, most time.Duration) func(*C, Value) error {
	return Text(func(c *C, s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 30s, 5m or 12h", s)
		}
		if d < least || d > most {
			return fmt.Errorf("%s is not between %s and %s", s, least, most)
		}
		*field(c) = d
		return nil
	})
}

// Bytes is a size such as 512MiB, or a number of bytes, within bounds.
func Bytes[C any](field func(*C) *int64, least, most int64) func(*C, Value) error {
	return Text(func(c *C, s string) error {
		digits, shift := s, 0
		for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
			if rest, ok := strings.CutSuffix(s, unit); ok {
				digits, shift = strings.TrimSpace(rest), 10*(i+1)
			}
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n<<shift>>shift != n {
			return fmt.Errorf("%q is not a size such as 512MiB or a number of bytes", s)
		}
		if n <<= shift; n < least || n > most {
			return fmt.Errorf("%s is not between %d MiB and %d MiB", s, least>>20, most>>20)
		}
		*field(c) = n
		return nil
	})
}

// Or is one word with a meaning of its own, or else what other reads.
func Or[C any](word string, set func(*C), other func(*C, Value) error) func(*C, Value) error {
	return func(c *C, v Value) error {
		if v.many || v.text != word {
			return other(c, v)
		}
		set(c)
		return nil
	}
}
