package secret

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// TestTheEnvironmentThatOthersReadHasNoSecretAnyMore runs this test binary as a
// program that was started with two secrets in its environment.
func TestTheEnvironmentThatOthersReadHasNoSecretAnyMore(t *testing.T) {
	const first, second = "correct horse", "battery staple"
	if os.Getenv("OTRPIPE_TEST_CHILD") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "OTRPIPE_TEST_ONE="+first, "OTRPIPE_TEST_CHILD=1", "OTRPIPE_TEST_TWO="+second)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	const environ = "/proc/self/environ"
	before, err := os.ReadFile(environ)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(before, []byte(first)) || !bytes.Contains(before, []byte(second)) {
		t.Fatal("the environment does not have the secrets to begin with")
	}
	for name, want := range map[string]string{"OTRPIPE_TEST_ONE": first, "OTRPIPE_TEST_TWO": second} {
		if got := TakeEnv(name); string(got) != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	after, err := os.ReadFile(environ)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{first, second} {
		if bytes.Contains(after, []byte(secret)) {
			t.Errorf("%s still shows %q", environ, secret)
		}
	}
	if len(after) != len(before) || !bytes.Contains(after, []byte("OTRPIPE_TEST_CHILD=1\x00")) {
		t.Error("more than the secrets was overwritten")
	}
}
