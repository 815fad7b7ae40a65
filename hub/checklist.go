package hub

import (
	"context"

	"storehub/doors"
)

// Checklist implements [doors.Backend].
func (h *Hub) Checklist(context.Context, doors.Till) (any, error) {
	return nil, doors.ErrNotFound.With("the checklist is not part of this version")
}
