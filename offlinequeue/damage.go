package offlinequeue

import (
	"fmt"
	"slices"
	"strings"
)

// missing names every place up to the last that is not among those held. Of them
// so many were pruned in due time, if that is known; which ones is not.
func missing(held []uint64, last, pruned uint64, known bool) []string {
	slices.Sort(held)
	var gone []uint64
	next := uint64(1)
	for _, seq := range append(slices.Clip(held), last+1) {
		for ; next < seq; next++ {
			gone = append(gone, next)
		}
		next = seq + 1
	}
	if len(gone) == 0 || known && uint64(len(gone)) == pruned {
		return nil
	}
	words := []string{"missing: " + ranges(gone)}
	if !known {
		words = append(words, "some of these may have ended long ago and been pruned")
	} else if pruned > 0 {
		words = append(words, fmt.Sprintf("%d of these ended long ago and were pruned", pruned))
	}
	return words
}

// ranges writes rising numbers as "operations 3, 7 to 9".
func ranges(list []uint64) string {
	var b strings.Builder
	b.WriteString("operations ")
	if len(list) == 1 {
		b.Reset()
		b.WriteString("operation ")
	}
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, list[i])
		if j > i {
			fmt.Fprintf(&b, " to %d", list[j])
		}
		i = j + 1
	}
	return b.String()
}
