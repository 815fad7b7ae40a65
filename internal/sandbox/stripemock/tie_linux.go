package stripemock

import (
	"os/exec"
	"syscall"
)

// tieToParent ends the process with its parent, which may be a test binary that
// ran into its time limit.
func tieToParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
