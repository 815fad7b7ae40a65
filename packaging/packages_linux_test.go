package packaging

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden texts anew")

// TestPackagesAreReproducible: who builds the same sources gets the same bytes, and can
// tell that nobody put anything else into ours.
func TestPackagesAreReproducible(t *testing.T) {
	t.Parallel()
	first, second, programs := packages(t, "1.0.0"), t.TempDir(), t.TempDir()
	for _, err := range []error{compile(programs, "hub", "1.0.0"), pack(second, programs, "1.0.0")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	made, err := os.ReadDir(first)
	if err != nil || len(made) != 3 {
		t.Fatalf("made %v, %v: want a deb, an rpm and an archive", made, err)
	}
	for _, e := range made {
		a, err := os.ReadFile(filepath.Join(first, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(second, e.Name())); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: built twice, it differs (%v)", e.Name(), err)
		}
	}
	holds(t, first)
	clean(t, first)
}

// only is the one file of a directory that fits the pattern.
func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

// holds compares what the packages hold with the list that was looked at by a person,
// and the three with each other.
func holds(t *testing.T, dir string) {
	t.Helper()
	output := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).Output()
		if err != nil {
			t.Fatalf("%s %v: %v", name, args, err)
		}
		return string(out)
	}

	deb := only(t, dir, "*.deb")
	var listed, paths []string
	for line := range strings.Lines(output("dpkg-deb", "--contents", deb)) {
		f := strings.Fields(line)
		listed = append(listed, f[0]+" "+f[1]+" "+f[5])
		if !strings.HasSuffix(f[5], "/") {
			paths = append(paths, strings.TrimPrefix(f[5], "."))
		}
	}
	slices.Sort(paths)
	text := output("dpkg-deb", "--field", deb, "Package", "Version", "Section", "Priority", "Depends", "Description") + "\n" +
		strings.Join(listed, "\n") + "\n\nconffiles:\n" + output("dpkg-deb", "--info", deb, "conffiles")
	golden := filepath.Join("testdata", "storehub.deb.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != text {
		t.Errorf("the package is not as %s says (%v):\n%s", golden, err, text)
	}
	rpm := strings.Fields(output("rpm", "--query", "--list", "--package", only(t, dir, "*.rpm")))
	rpm = slices.DeleteFunc(rpm, func(dir string) bool { // it names the directories that it makes, too
		return slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p, dir+"/") })
	})
	slices.Sort(rpm)
	if !slices.Equal(rpm, paths) {
		t.Errorf("the rpm holds\n%v\nthe deb\n%v", rpm, paths)
	}
	var archived []string
	for p := range strings.Lines(output("tar", "--list", "--file", only(t, dir, "*.tar.gz"))) {
		if p = strings.TrimSpace(p); !strings.HasSuffix(p, "/") {
			archived = append(archived, strings.TrimPrefix(p, "."))
		}
	}
	slices.Sort(archived)
	if !slices.Equal(archived, paths) {
		t.Errorf("the archive holds\n%v\nthe deb\n%v", archived, paths)
	}
}

// clean has Debian's own judge look at the package.
func clean(t *testing.T, dir string) {
	t.Helper()
	deb, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "lintian", append([]string{"--allow-root", "--fail-on", "error,warning"}, deb...)...).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}
