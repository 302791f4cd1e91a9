package listpack

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// drawText draws texts around every bound of an encoding.
func drawText(t *rapid.T) []byte {
	switch rapid.IntRange(0, 6).Draw(t, "form") {
	case 0, 1:
		return strconv.AppendInt(nil, drawInt(t), 10)
	case 2:
		return []byte(rapid.SampledFrom([]string{
			"", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0", "9223372036854775808", "-9223372036854775809", "99999999999999999999",
		}).Draw(t, "text"))
	case 3:
		return bytes.Repeat([]byte{'x'}, rapid.SampledFrom([]int{
			63, 64, 65, 125, 126, 127, 4094, 4095, 4096, 4097, 16376, 16377, 16378, 16379, 70000,
		}).Draw(t, "length"))
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes")
}

func drawInt(t *rapid.T) int64 {
	bound := rapid.SampledFrom([]int64{
		0, 127, 128, -1, 4095, 4096, -4096, -4097, math.MaxInt16, math.MinInt16, 1<<23 - 1, -1 << 23, math.MaxInt32, math.MinInt32,
		math.MaxInt64, math.MinInt64,
	}).Draw(t, "bound")
	return bound + rapid.Int64Range(-2, 2).Draw(t, "beside")
}

// splice is what a cell does for its payload.
func splice(b []byte, at, remove, insert int) []byte {
	return slices.Concat(b[:at], bytes.Repeat([]byte{0xee}, insert), b[at+remove:])
}

// check compares lp with the model in every way that it can be read.
func check(t *rapid.T, lp []byte, model [][]byte) {
	if err := Validate(lp); err != nil {
		t.Fatal(err)
	}
	if Len(lp) != len(model) {
		t.Fatalf("Len %d, want %d", Len(lp), len(model))
	}
	pos, places := First(lp), []int(nil)
	for i, want := range model {
		if pos < 0 {
			t.Fatalf("the end at %d of %d", i, len(model))
		}
		places = append(places, pos)
		if got := AppendText(nil, lp, pos); !bytes.Equal(got, want) || TextLen(lp, pos) != len(want) || !Equal(lp, pos, want) {
			t.Fatalf("entry %d: %q, want %q", i, got, want)
		}
		text, n, isInt, next := Entry(lp, pos)
		m, canonical := ParseInt(want)
		if isInt != canonical || isInt && n != m || !isInt && !bytes.Equal(text, want) || next != Next(lp, pos) {
			t.Fatalf("entry %d: %q %d %v, next %d", i, text, n, isInt, next)
		}
		pos = next
	}
	if pos != -1 || Skip(lp, HeaderSize, len(model)) != End(lp) {
		t.Fatal("entries behind the last one")
	}
	pos = Last(lp)
	for i := len(model) - 1; i >= 0; i-- {
		if pos != places[i] || Seek(lp, i) != pos || Seek(lp, i-len(model)) != pos || Skip(lp, HeaderSize, i) != pos {
			t.Fatalf("entry %d: %d, want %d", i, pos, places[i])
		}
		pos = Prev(lp, pos)
	}
	if pos != -1 || Seek(lp, len(model)) != -1 || Seek(lp, -len(model)-1) != -1 {
		t.Fatal("entries beyond the ends")
	}
}

func TestListpackIsAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lp := Empty()
		var model [][]byte
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				i, text := rapid.IntRange(0, len(model)).Draw(t, "at"), drawText(t)
				pos := Skip(lp, HeaderSize, i)
				size := EntrySize(text)
				lp = splice(lp, pos, 0, size)
				if n := Put(lp[pos:pos+size], text); n != size {
					t.Fatalf("Put wrote %d, EntrySize said %d", n, size)
				}
				Fix(lp, 1)
				model = slices.Insert(model, i, text)
			},
			"push": func(t *rapid.T) {
				text := drawText(t)
				if n, ok := ParseInt(text); ok && n%2 == 0 {
					lp = PushInt(lp, n)
				} else {
					lp = Push(lp, text)
				}
				model = append(model, text)
			},
			"replace": func(t *rapid.T) {
				if len(model) == 0 {
					return
				}
				i, text := rapid.IntRange(0, len(model)-1).Draw(t, "at"), drawText(t)
				pos := Seek(lp, i)
				size := EntrySize(text)
				lp = splice(lp, pos, Skip(lp, pos, 1)-pos, size)
				Put(lp[pos:], text)
				Fix(lp, 0)
				model = slices.Clone(model)
				model[i] = text
			},
			"delete": func(t *rapid.T) {
				if len(model) == 0 {
					return
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "at")
				n := rapid.IntRange(1, min(3, len(model)-i)).Draw(t, "count")
				pos := Seek(lp, i)
				lp = splice(lp, pos, Skip(lp, pos, n)-pos, 0)
				Fix(lp, -n)
				model = slices.Delete(slices.Clone(model), i, i+n)
			},
			"find": func(t *rapid.T) {
				if len(model) == 0 {
					return
				}
				text := drawText(t)
				if rapid.Bool().Draw(t, "there") {
					text = rapid.SampledFrom(model).Draw(t, "text")
				}
				from, skip := rapid.IntRange(0, len(model)-1).Draw(t, "from"), rapid.IntRange(0, 2).Draw(t, "skip")
				want := -1
				for i := from; i < len(model) && want < 0; i += 1 + skip {
					if bytes.Equal(model[i], text) {
						want = Seek(lp, i)
					}
				}
				if got := Find(lp, Seek(lp, from), skip, text); got != want {
					t.Fatalf("Find from %d, skip %d: %d, want %d", from, skip, got, want)
				}
				want = -1
				for i := range from + 1 {
					if bytes.Equal(model[i], text) {
						want = Seek(lp, i)
					}
				}
				if got := FindBack(lp, Seek(lp, from), text); got != want {
					t.Fatalf("FindBack from %d: %d, want %d", from, got, want)
				}
			},
			"": func(t *rapid.T) { check(t, lp, model) },
		})
	})
}

// TestBytes pins the form: these are what DUMP of the reference holds for lists
// with the same entries, and what its format says.
func TestBytes(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0001", "127": "7f01", "128": "c08002", "-1": "dfff02", "4095": "cfff02", "-4096": "d00002",
		"4096": "f1001003", "-32768": "f1008003", "32768": "f200800004", "-8388608": "f200008004",
		"8388608": "f30000800005", "2147483648": "f4000000800000000009", "a": "816102", "": "8001", "01": "82303103",
	} {
		size := EntrySize([]byte(text))
		b := make([]byte, size)
		Put(b, []byte(text))
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	for length, want := range map[int]string{64: "e040", 4095: "efff", 4096: "f000100000"} {
		b := make([]byte, textSize(length))
		Put(b, make([]byte, length))
		if got := hex.EncodeToString(b[:len(want)/2]); got != want {
			t.Errorf("length %d: %s, want %s", length, got, want)
		}
	}
}

// TestLongListpack has more entries than its header can count.
func TestLongListpack(t *testing.T) {
	lp := Empty()
	const n = 70000
	for i := range n {
		lp = PushInt(lp, int64(i))
	}
	if Len(lp) != n || Validate(lp) != nil {
		t.Fatalf("Len %d, %v", Len(lp), Validate(lp))
	}
	for _, i := range []int{0, 1, 65534, 65535, n - 1} {
		if _, got, _, _ := Entry(lp, Seek(lp, i)); got != int64(i) {
			t.Errorf("entry %d: %d", i, got)
		}
		if _, got, _, _ := Entry(lp, Seek(lp, i-n)); got != int64(i) {
			t.Errorf("entry %d from behind: %d", i, got)
		}
	}
	if Seek(lp, n) != -1 || Seek(lp, -n-1) != -1 {
		t.Error("entries beyond the ends")
	}
}

func TestNothingIsAllocated(t *testing.T) {
	lp := Empty()
	for i := range 50 {
		lp = Push(lp, strconv.AppendInt([]byte("member"), int64(i), 10))
	}
	key := []byte("member48")
	out := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		pos := Find(lp, First(lp), 1, key)
		out = AppendText(out[:0], lp, pos)
		_ = Put(out[:20], key)
		_ = Validate(lp)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzValidate(f *testing.F) {
	f.Add(Empty())
	lp := Empty()
	for _, text := range []string{"a", "5", "-70", "70000", "9999999", "4294967296", string(make([]byte, 100)), string(make([]byte, 5000))} {
		lp = Push(lp, []byte(text))
	}
	f.Add(lp)
	f.Fuzz(func(t *testing.T, lp []byte) {
		if Validate(lp) != nil {
			return
		}
		// What was found valid can be walked both ways, with the same entries.
		var places []int
		for pos := First(lp); pos >= 0; pos = Next(lp, pos) {
			places = append(places, pos)
			text := AppendText(nil, lp, pos)
			if !Equal(lp, pos, text) || Find(lp, First(lp), 0, text) > pos {
				t.Fatalf("entry at %d does not equal itself", pos)
			}
		}
		if Len(lp) != len(places) {
			t.Fatal("Len")
		}
		pos := Last(lp)
		for _, want := range slices.Backward(places) {
			if pos != want {
				t.Fatalf("backwards at %d, want %d", pos, want)
			}
			pos = Prev(lp, pos)
		}
		if pos != -1 {
			t.Fatal("entries before the first one")
		}
	})
}

func BenchmarkFind(b *testing.B) {
	lp := Empty()
	for i := range 20 {
		lp = Push(lp, strconv.AppendInt([]byte("field"), int64(i), 10))
		lp = Push(lp, []byte("a value of some length"))
	}
	key := []byte("field9")
	for b.Loop() {
		Find(lp, HeaderSize, 1, key)
	}
}
