package rdb

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// words draws elements for ziplists and zipmaps: integers of every width, short
// and long texts, up to those whose lengths take five bytes.
func words(t *rapid.T) []string {
	word := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			return strconv.FormatInt(rapid.Int64().Draw(t, "n")>>rapid.IntRange(0, 63).Draw(t, "shift"), 10)
		}),
		rapid.StringN(0, 10, 40),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat("x", rapid.SampledFrom([]int{62, 63, 64, 253, 254, 255, 300, 16383, 16384, 20000}).Draw(t, "length"))
		}),
	)
	return rapid.SliceOfN(word, 1, 20).Draw(t, "words")
}

// TestZiplists: what one holds is what went in, and no proper prefix of it is
// one.
func TestZiplists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := words(t)
		zl := appendZiplist(nil, want...)
		var got []string
		err := eachOfZiplist(zl, func(text []byte, n int64, isInt bool) {
			if isInt {
				text = strconv.AppendInt(nil, n, 10)
			}
			got = append(got, string(text))
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%.200q comes back as %.200q, %v", want, got, err)
		}
		cut := rapid.IntRange(0, len(zl)-1).Draw(t, "cut")
		if err := eachOfZiplist(zl[:cut], func([]byte, int64, bool) {}); err == nil {
			t.Fatalf("%d bytes of %q are one", cut, zl)
		}
	})
}

// TestZipmaps is TestZiplists for zipmaps.
func TestZipmaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := words(t)
		want = append(want, want...) // an even number
		zm := appendZipmap(nil, want...)
		var got []string
		err := eachOfZipmap(zm, func(field, val []byte) error {
			got = append(got, string(field), string(val))
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%.200q comes back as %.200q, %v", want, got, err)
		}
		cut := rapid.IntRange(0, len(zm)-1).Draw(t, "cut")
		if err := eachOfZipmap(zm[:cut], func(_, _ []byte) error { return nil }); err == nil {
			t.Fatalf("%d bytes of %q are one", cut, zm)
		}
	})
}

// TestBrokenCollections names what is wrong with some.
func TestBrokenCollections(t *testing.T) {
	nan := "\x00\x00\x00\x00\x00\x00\xf8\x7f"
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"set with a member twice", "\x02\x02\x01a\x01a", errDuplicate},
		{"packed set with a member twice", "\x14" + plain(packOf("a", "a")), errDuplicate},
		{"zset with a member twice", "\x05\x02\x01a" + ms(0) + "\x01a" + ms(1), errDuplicate},
		{"score that is none", "\x05\x01\x01a" + nan, errNotNumber},
		{"old score that is none", "\x03\x01\x01a\xfd", errNotNumber},
		{"old score without a number", "\x03\x01\x01a\x02zz", errNotNumber},
		{"zipmap with a field twice", "\x09" + plain(string(appendZipmap(nil, "a", "1", "a", "2"))), errDuplicate},
		{"triplets without a value", "\x19" + ms(1) + plain(packOf("f")), errOdd},
		{"triplets without a deadline", "\x19" + ms(1) + plain(packOf("f", "v")), errOdd},
		{"triplets with a text as a deadline", "\x19" + ms(1) + plain(packOf("f", "v", "x")), errDeadline},
		{"triplets with a negative deadline", "\x19" + ms(1) + plain(packOf("f", "v", "-1")), errDeadline},
		{"deadline beyond all", "\x18" + ms(1) + "\x01" + lengths(1<<48) + "\x01f\x01v", errDeadline},
		{"first deadline beyond all", "\x18" + ms(1<<60) + "\x01" + lengths(5) + "\x01f\x01v", errDeadline},
		{"first deadline before all", "\x18" + ms(-5) + "\x01" + lengths(5) + "\x01f\x01v", errDeadline},
		{"node of no kind", "\x12\x01\x03\x01a", errContainer},
		{"name of a block too short", "\x0f\x01\x03abc\x01a", errStreamID},
		{"intset out of order", "\x0b" + plain("\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x01\x00"), errIntset},
	} {
		if _, err := parseDump(footed(Version, c.body)); !errors.Is(err, c.want) || !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for _, deadline := range []int64{0, -2, 1 << 50} {
		if _, err := parseDump(footed(valkeyVersion, "\x16\x01\x01f\x01v"+ms(deadline))); !errors.Is(err, errDeadline) {
			t.Errorf("a deadline of %d from Valkey: %v", deadline, err)
		}
	}
}
