package arena

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// held is what a model knows of a block.
type held struct {
	heap int
	ref  Ref
	n    int
	key  uint64
}

// fill writes to all n bytes something that follows from key; of large blocks to
// the beginning and the end.
func fill(b []byte, key uint64) {
	edge := func(b []byte, key uint64) {
		for len(b) >= 8 {
			binary.LittleEndian.PutUint64(b, key)
			b, key = b[8:], key*6364136223846793005+1
		}
		for i := range b {
			b[i] = byte(key >> (8 * i))
		}
	}
	if len(b) > 32<<10 {
		edge(b[:16<<10], key)
		edge(b[len(b)-16<<10:], ^key)
		return
	}
	edge(b, key)
}

func filled(b []byte, key uint64) bool {
	want := make([]byte, min(len(b), 32<<10))
	if len(b) > 32<<10 {
		fill(want[:16<<10], key)
		fill(want[16<<10:], ^key)
		return bytes.Equal(b[:16<<10], want[:16<<10]) && bytes.Equal(b[len(b)-16<<10:], want[16<<10:])
	}
	fill(want, key)
	return bytes.Equal(b, want)
}

// sizes draws sizes of all magnitudes, often close to where the class changes.
func sizes() *rapid.Generator[int] {
	return rapid.Custom(func(t *rapid.T) int {
		switch rapid.IntRange(0, 9).Draw(t, "kind of size") {
		case 0, 1, 2:
			return rapid.IntRange(1, 300).Draw(t, "small")
		case 3, 4:
			return rapid.IntRange(1, 20_000).Draw(t, "middle")
		case 5, 6:
			c := rapid.IntRange(0, classCount-1).Draw(t, "class")
			return max(1, int(classes[c].size)+rapid.IntRange(-1, 1).Draw(t, "beside"))
		case 7:
			return rapid.IntRange(1, 300_000).Draw(t, "large")
		case 8:
			return max(1, rapid.IntRange(1, 40).Draw(t, "frames")*frameBytes+rapid.IntRange(-1, 1).Draw(t, "beside"))
		default:
			return 1 << rapid.IntRange(0, 23).Draw(t, "power")
		}
	})
}

// TestAgainstModel allocates and frees at random and compares with a list of what
// is held: contents, sizes, sums, and the whole side table.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		heaps := rapid.IntRange(1, 3).Draw(t, "heaps")
		m, err := New(Options{Heaps: heaps, Reserve: 4 << 30, SmallPages: rapid.Bool().Draw(t, "small pages")})
		if err != nil {
			t.Fatal(err)
		}
		var blocks []held
		next, used := uint64(1), int64(0)
		alloc := func(i, n int) {
			r := m.Heap(i).Alloc(n)
			size := m.Heap(i).Size(r)
			if size < n || size != ClassSize(n) {
				t.Fatalf("block of %d bytes has %d, class size %d", n, size, ClassSize(n))
			}
			fill(m.Bytes(r, n), next)
			blocks = append(blocks, held{i, r, n, next})
			next++
			used += int64(size)
		}
		free := func(i int) {
			b := blocks[i]
			if !filled(m.Bytes(b.ref, b.n), b.key) {
				t.Fatalf("block %d of %d bytes lost its content", b.ref, b.n)
			}
			used -= int64(m.Heap(b.heap).Size(b.ref))
			m.Heap(b.heap).Free(b.ref)
			blocks[i] = blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
		}
		if rapid.Bool().Draw(t, "beyond small pages") {
			alloc(0, int(smallFrames+rapid.Uint32Range(0, 300).Draw(t, "pad")-150)*frameBytes)
		}
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				alloc(rapid.IntRange(0, heaps-1).Draw(t, "heap"), sizes().Draw(t, "size"))
			},
			"alloc many": func(t *rapid.T) {
				i, n := rapid.IntRange(0, heaps-1).Draw(t, "heap"), sizes().Draw(t, "size")
				for range min(rapid.IntRange(1, 400).Draw(t, "count"), 4<<20/n) {
					alloc(i, n)
				}
			},
			"free": func(t *rapid.T) {
				if len(blocks) == 0 {
					t.Skip("no block")
				}
				free(rapid.IntRange(0, len(blocks)-1).Draw(t, "block"))
			},
			"free many": func(t *rapid.T) {
				seed, share := rapid.Uint64().Draw(t, "seed"), rapid.Float64Range(0, 1).Draw(t, "share")
				rnd := rand.New(rand.NewPCG(seed, 0))
				for i := len(blocks) - 1; i >= 0; i-- {
					if rnd.Float64() < share {
						free(i)
					}
				}
			},
			"compact": func(*rapid.T) {
				for i, b := range blocks {
					if h := m.Heap(b.heap); h.Sparse(b.ref) {
						r := h.Alloc(b.n)
						copy(m.Bytes(r, b.n), m.Bytes(b.ref, b.n))
						h.Free(b.ref)
						blocks[i].ref = r
					}
				}
			},
			"trim":   func(*rapid.T) { m.Trim() },
			"settle": func(*rapid.T) { m.Settle() },
			"prepare": func(*rapid.T) {
				for m.Prepare() {
				}
			},
			"refile": func(*rapid.T) { m.Refile() },
			"": func(t *rapid.T) {
				check(t, m)
				if m.Used() != used {
					t.Fatalf("Used is %d, want %d", m.Used(), used)
				}
			},
		})
		for len(blocks) > 0 {
			free(len(blocks) - 1)
		}
		trimmed(t, m)
	})
}

// TestConcurrentHeaps has goroutines that share heaps and hand blocks to each
// other.
func TestConcurrentHeaps(t *testing.T) {
	const workers, heaps = 4, 2
	steps := 60_000
	if testing.Short() {
		steps = 10_000
	}
	m, err := New(Options{Heaps: heaps})
	if err != nil {
		t.Fatal(err)
	}
	pass := make(chan held, 64)
	var wait sync.WaitGroup
	stop := make(chan struct{})
	var ahead sync.WaitGroup
	ahead.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-m.Low():
				for m.Prepare() {
				}
			}
		}
	})
	for w := range workers {
		wait.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			var blocks []held
			drop := func(b held) {
				if !filled(m.Bytes(b.ref, b.n), b.key) {
					t.Errorf("block %d of %d bytes lost its content", b.ref, b.n)
				}
				m.Heap(b.heap).Free(b.ref)
			}
			for i := range steps {
				if want := 2000 * (1 + i/10_000%2); len(blocks) < want && rnd.IntN(5) < 3 {
					n := 1 + rnd.IntN(1<<(1+rnd.IntN(12)))
					if rnd.IntN(400) == 0 {
						n = 1 + rnd.IntN(1<<20)
					}
					b := held{heap: rnd.IntN(heaps), n: n, key: rnd.Uint64()}
					b.ref = m.Heap(b.heap).Alloc(n)
					fill(m.Bytes(b.ref, n), b.key)
					select {
					case pass <- b:
					default:
						blocks = append(blocks, b)
					}
				} else if len(blocks) > 0 {
					at := rnd.IntN(len(blocks))
					drop(blocks[at])
					blocks[at] = blocks[len(blocks)-1]
					blocks = blocks[:len(blocks)-1]
				}
				select {
				case b := <-pass:
					drop(b)
				default:
				}
				if i%64 == 0 {
					_ = m.Used() + m.Mapped()
				}
				if i%5000 == 0 {
					m.Trim()
				}
			}
			for _, b := range blocks {
				drop(b)
			}
		})
	}
	wait.Wait()
	close(stop)
	ahead.Wait()
	close(pass)
	for b := range pass {
		m.Heap(b.heap).Free(b.ref)
	}
	check(t, m)
	trimmed(t, m)
}
