package storehub

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms says which of our packages each package may import. A new package fails
// the test until someone writes down here what it may know: that sentence is the
// architecture review.
var rooms = map[string][]string{
	// Leaves know nothing of ours.
	"doors":        {"doors/words"},
	"doors/words":  {}, // what the shop's staff reads, in its language
	"netcheck":     {},
	"offlinequeue": {},
	"readers":      {},

	// Meaning is a function over the leaves' plain data.
	"diagnostics": {"netcheck", "offlinequeue", "readers"},

	// The conversation with headquarters; Stripe stands behind one package.
	"hq":             {"doors", "doors/words", "internal/yamlfile"},
	"hq/console":     {"doors", "hq", "internal/web"}, // headquarters for people at a screen
	"hq/stripeapi":   {"doors", "hq"},
	"hq/conformance": {"doors", "hq"}, // asks what any headquarters must answer
	"hq/postgres":    {},              // heavy: cmd/hq alone knows it
	"hq/acme":        {"hq"},          // the same

	// The hub joins the roads.
	"hub": {"diagnostics", "doors", "doors/words", "hq", "netcheck", "offlinequeue", "readers", "internal/localdns", "internal/mdns", "internal/rehearsal", "internal/web", "internal/yamlfile"},

	// The mains pick a command and wire the parts.
	"cmd/hub": {"diagnostics", "doors", "hq", "hq/stripeapi", "hub", "netcheck", "offlinequeue", "readers",
		"internal/buildinfo", "internal/cli", "internal/rehearsal", "internal/service", "internal/try", "internal/yamlfile"},
	"cmd/hq": {"doors", "hq", "hq/acme", "hq/conformance", "hq/console", "hq/postgres", "hq/stripeapi", "internal/buildinfo", "internal/cli", "internal/service", "internal/yamlfile"},

	"internal/buildinfo": {},
	"internal/cli":       {},
	"internal/freeport":  {},
	"internal/localdns":  {}, // answers for the hub's name
	"internal/mdns":      {},
	"internal/rehearsal": {"doors"}, // a till's day, played through any backend of the doors
	"internal/service":   {"systemd"},
	"internal/web":       {}, // what both consoles' pages are made of
	"internal/yamlfile":  {},
	"systemd":            {},

	// Simulation: for hub try and for tests, never on the way of a real payment.
	"internal/sandbox":            {},
	"internal/sandbox/stripemock": {},
	"internal/pgcluster":          {"internal/freeport"},
	"internal/try":                {"doors", "hq", "hq/console", "hq/stripeapi", "hub", "internal/freeport", "internal/sandbox", "packaging/js"},
	"internal/acmelab":            {"hq", "internal/freeport"},
	"internal/lab":                {"diagnostics", "internal/sandbox", "netcheck", "readers"},
	"internal/storesim":           {"doors", "hq", "hub", "internal/sandbox", "internal/try"},

	"bench/peers": {"internal/freeport"},
	"bench/proc":  {}, // what the benchmarks ask of /proc; they are modules of their own

	"packaging":            {}, // scripts for packages; its tests alone are Go
	"packaging/js":         {}, // the tills' TypeScript client, embedded for the demo till
	"packaging/windows":    {}, // the installer; its tests alone are Go
	"packaging/monitoring": {}, // files for Prometheus and Grafana; its tests alone are Go
}

// testsMay lists what _test.go files may import beside what their package may.
var testsMay = map[string][]string{
	"cmd/hq":               {"internal/pgcluster", "internal/sandbox"},
	"hq/postgres":          {"internal/pgcluster"},
	"hq/acme":              {"internal/acmelab"},
	"hq":                   {"hq/postgres", "hq/stripeapi", "internal/pgcluster", "internal/sandbox", "internal/sandbox/stripemock"},
	"hq/console":           {"hq/stripeapi", "internal/sandbox"},
	"hq/stripeapi":         {"internal/sandbox", "internal/sandbox/stripemock"},
	"hq/conformance":       {"hq/stripeapi", "internal/sandbox"},
	"internal/sandbox":     {"internal/sandbox/stripemock"},
	"internal/storesim":    {"diagnostics", "hq/acme", "internal/acmelab", "internal/rehearsal", "internal/sandbox/stripemock", "netcheck", "offlinequeue"},
	"internal/try":         {"internal/sandbox/stripemock"},
	"hub":                  {"internal/mdns"},
	"packaging":            {"internal/lab", "internal/storesim", "offlinequeue"},
	"packaging/monitoring": {"internal/freeport", "internal/sandbox", "internal/storesim"},
	"diagnostics":          {},
}

// owners says who alone may import a module: one owner per outside world. A test
// of anyone may use it.
var owners = map[string][]string{
	"github.com/dgraph-io/badger":     {"offlinequeue"},
	"github.com/stripe/stripe-go":     {"hq/stripeapi"},
	"codeberg.org/go-pdf/fpdf":        {"diagnostics"},
	"golang.org/x/image":              {"diagnostics"}, // the fonts of the PDF
	"filippo.io/age":                  {"hq"},
	"modernc.org/sqlite":              {"hq"},
	"github.com/jackc/pgx":            {"hq/postgres", "internal/pgcluster"},
	"github.com/prometheus":           {"hub", "hq"},
	"github.com/grandcat/zeroconf":    {"internal/mdns"},
	"github.com/kardianos/service":    {"internal/service"},
	"github.com/alecthomas/kong":      {"internal/cli", "cmd/hub", "cmd/hq"},
	"github.com/goccy/go-yaml":        {"internal/yamlfile", "cmd/hub"},
	"github.com/vishvananda/netlink":  {"netcheck"},
	"github.com/insomniacslk/dhcp":    {"netcheck"},
	"github.com/beevik/ntp":           {"netcheck"},
	"github.com/mdlayher/arp":         {"netcheck"},
	"github.com/mdlayher/wifi":        {"netcheck"},
	"github.com/miekg/dns":            {"hq/acme", "netcheck", "internal/lab", "internal/localdns"},
	"golang.org/x/crypto/acme":        {"hq/acme"},
	"golang.org/x/sys/windows/svc":    {"internal/service"},
	"go.uber.org/goleak":              {},
	"pgregory.net/rapid":              {},
	"github.com/rogpeppe/go-internal": {},
	"github.com/santhosh-tekuri":      {},
}

const module = "storehub"

// TestRooms holds the directions in which our packages may know each other.
func TestRooms(t *testing.T) {
	seen := map[string]bool{}
	eachImport(t, func(file, pkg, imported string) {
		if pkg == "." {
			return
		}
		seen[pkg] = true
		may, known := rooms[pkg]
		if !known {
			t.Errorf("%s: package %s is not in the list of rooms; say what it may import", file, pkg)
			return
		}
		if strings.HasSuffix(file, "_test.go") {
			may = slices.Concat(may, testsMay[pkg], []string{pkg})
		}
		if own, ok := strings.CutPrefix(imported, module+"/"); ok && !slices.Contains(may, own) {
			t.Errorf("%s: %s may not import %s", file, pkg, own)
		}
	})
	for pkg := range rooms {
		if !seen[pkg] {
			t.Errorf("room %s is in the list and not in the tree", pkg)
		}
	}
}

// TestOneOwnerPerOutsideWorld holds who may speak to which library.
func TestOneOwnerPerOutsideWorld(t *testing.T) {
	eachImport(t, func(file, pkg, imported string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		for mod, who := range owners {
			if (imported == mod || strings.HasPrefix(imported, mod+"/")) && !slices.Contains(who, pkg) {
				t.Errorf("%s: only %v may import %s, not %s", file, who, mod, pkg)
			}
		}
	})
}

// eachImport calls f for every import of every Go file of the module.
func eachImport(t *testing.T, f func(file, pkg, imported string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "dist" || hasGoMod(file)) {
				return filepath.SkipDir
			}
			return nil
		}
		if path.Ext(file) != ".go" {
			return nil
		}
		src, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range src.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			f(filepath.ToSlash(file), filepath.ToSlash(filepath.Dir(file)), name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hasGoMod reports whether dir, below the root, is a module of its own.
func hasGoMod(dir string) bool {
	if dir == "." {
		return false
	}
	m, err := filepath.Glob(filepath.Join(dir, "go.mod"))
	return err == nil && len(m) > 0
}
