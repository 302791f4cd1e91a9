package value

import (
	"fmt"
	"testing"
)

func TestParseInt(t *testing.T) {
	for text, want := range map[string]bool{
		"0": true, "-1": true, "9223372036854775807": true, "-9223372036854775808": true,
		"": false, "-": false, "-0": false, "00": false, "01": false, "+1": false, " 1": false, "1 ": false,
		"9223372036854775808": false, "-9223372036854775809": false, "99999999999999999999": false, "1a": false,
	} {
		n, ok := ParseInt([]byte(text))
		if ok != want || ok && fmt.Sprint(n) != text {
			t.Errorf("%q: %d, %v", text, n, ok)
		}
	}
}
