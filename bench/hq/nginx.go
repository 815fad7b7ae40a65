package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"storehub/internal/freeport"
)

// nginx is a proxy before the sandbox, as one would configure it for speed: it keeps
// its connections and writes no log.
type nginx struct {
	cmd *exec.Cmd
	url string
}

const nginxConf = `daemon off;
worker_processes auto;
pid %[1]s/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  keepalive_requests 1000000;
  upstream stripe { server %[2]s; keepalive 256; keepalive_requests 1000000; }
  server {
    listen %[3]s;
    location / { proxy_pass http://stripe; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`

func startNginx(dir, stripe string) (*nginx, error) {
	address, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "nginx")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, strings.TrimPrefix(stripe, "http://"), address), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("nginx", "-c", conf, "-g", user(), "-e", "stderr")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n := &nginx{cmd, "http://" + address}
	for range 200 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return n, conn.Close()
		}
		time.Sleep(50 * time.Millisecond) // it does not tell when it is up
	}
	n.end()
	return nil, fmt.Errorf("nginx did not come up on %s", address)
}

// user lets root's nginx read the directory that root made.
func user() string {
	if os.Getuid() == 0 {
		return "user root;"
	}
	return ""
}

func (n *nginx) end() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	_ = n.cmd.Wait()
}
