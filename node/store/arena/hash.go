package arena

import "hash/maphash"

// Hash returns a hash of b that is keyed: nobody outside can choose bytes that
// collide. It is the same for everything that lies in one Memory.
func (m *Memory) Hash(b []byte) uint64 { return maphash.Bytes(m.seed, b) }
