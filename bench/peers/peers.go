// Package peers starts the proxies that ours are measured beside.
package peers

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

// Peer is a proxy that runs.
type Peer struct {
	URL string
	cmd *exec.Cmd
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

// Nginx is a proxy before base, as one would configure it for speed: it keeps its
// connections and writes no log. dir must be there, and is nginx's own.
func Nginx(dir, base string) (*Peer, error) {
	address, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, strings.TrimPrefix(base, "http://"), address), 0o644); err != nil {
		return nil, err
	}
	return start(address, exec.Command("nginx", "-c", conf, "-g", user(), "-e", "stderr"))
}

// Caddy is the same of Caddy.
func Caddy(dir, base string) (*Peer, error) {
	address, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n\nhttp://%s {\n\treverse_proxy %s\n}\n", address, strings.TrimPrefix(base, "http://")), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("caddy", "run", "--config", conf, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir) // it keeps its last configuration there
	return start(address, cmd)
}

// start waits until somebody listens: neither tells when it is up.
func start(address string, cmd *exec.Cmd) (*Peer, error) {
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Peer{"http://" + address, cmd}
	for range 200 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return p, conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.End()
	return nil, fmt.Errorf("%s did not come up on %s", cmd.Path, address)
}

// user lets root's nginx read the directory that root made.
func user() string {
	if os.Getuid() == 0 {
		return "user root;"
	}
	return ""
}

// End ends it.
func (p *Peer) End() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	_ = p.cmd.Wait()
}
