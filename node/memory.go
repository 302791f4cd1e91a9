package node

import (
	"bytes"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"sync"
	"time"
)

// memoryUse is what the store, the Go runtime and the kernel know, in bytes.
type memoryUse struct {
	// used is what the process needs: data, objects, stacks and the runtime's
	// own.
	used int64
	// data is the part of it that is in the store.
	data int64
	// runtime is what the Go runtime has of the system's memory, less what it
	// gave back.
	runtime int64
	// objects are blocks of the store and objects on the heap, reachable or not
	// yet collected; spans is the memory that is set aside for them.
	objects, spans int64
	// mapped is what store and runtime have of the system's memory, less what
	// they gave back; resident is what the kernel counts.
	mapped, resident int64
}

func (n *Node) readMemory() memoryUse {
	s := n.sampler.read()
	data, pages := n.store.Memory().Used(), n.store.Memory().Mapped()
	return memoryUse{
		used: data + s.total - s.released - s.free - s.unused, data: data, runtime: s.total - s.released,
		objects: data + s.objects, spans: pages + s.objects + s.unused,
		mapped: pages + s.total - s.released, resident: s.resident,
	}
}

// memorySample is what the Go runtime and the kernel tell of the process's memory, in
// bytes.
type memorySample struct{ total, released, free, unused, objects, resident int64 }

// memorySampler keeps a sample for sampleAge: to take one takes longer than all the
// rest of INFO memory. What grows with every command, the data, is not part of it.
type memorySampler struct {
	mu   sync.Mutex
	at   time.Time // the zero time if there is no sample
	last memorySample
}

// sampleAge is how old a sample may be: who asks once sees what is, and who asks all
// the time has a small part of a processor's time spent on samples. The reference asks
// for its resident memory and its allocator's figures every 100 ms.
const sampleAge = 10 * time.Millisecond

func (m *memorySampler) read() memorySample {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.at) >= sampleAge {
		m.last, m.at = sampleMemory(), now
	}
	return m.last
}

// forget has the next look be a new one, when much was given back.
func (m *memorySampler) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = time.Time{}
}

func sampleMemory() memorySample {
	samples := [...]metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
	}
	metrics.Read(samples[:])
	value := func(i int) int64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int64(samples[i].Value.Uint64())
	}
	return memorySample{
		total: value(0), released: value(1), free: value(2), unused: value(3), objects: value(4), resident: residentBytes(),
	}
}

// runtimeBytes returns memoryUse.runtime, and the room that the heap will still take
// for garbage before it is collected: data must leave it. Reading takes some
// microseconds.
func runtimeBytes() (owned, room int64) {
	samples := [...]metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/gc/heap/goal:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples[:])
	value := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	return value(0) - value(1), max(value(2)-value(3)-value(4), 0)
}

const (
	// staleHeap is how large a heap is that is not left alone for long, staleAge how
	// long that is.
	staleHeap = 32 << 20
	staleAge  = 10 * time.Second
)

// collector sees to it that garbage goes from a heap that hardly grows. Go collects
// when the heap has become twice what it was, or after two minutes: the payload of a
// large RESTORE that the last collection found in use would be resident until then.
type collector struct {
	// cycles is how many collections there have been, as far as is known since.
	cycles uint64
	since  time.Time
}

// due reports whether a collection is overdue.
func (k *collector) due(now time.Time) bool {
	samples := [...]metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples[:])
	if cycles := samples[0].Value.Uint64(); cycles != k.cycles {
		k.cycles, k.since = cycles, now
		return false
	}
	return samples[1].Value.Uint64() >= staleHeap && now.Sub(k.since) >= staleAge
}

// usedMemory is used_memory.
func (n *Node) usedMemory() int64 { return n.readMemory().used }

// residentBytes reads the second field of /proc/self/statm, which counts pages.
func residentBytes() int64 {
	content, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(content)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// notePeak keeps the greatest use of memory that was seen.
func (n *Node) notePeak(used int64) {
	for {
		peak := n.peakMemory.Load()
		if used <= peak || n.peakMemory.CompareAndSwap(peak, used) {
			return
		}
	}
}

func infoMemory(n *Node, s *infoScene) {
	m := n.readMemory()
	n.notePeak(m.used)
	peak := n.peakMemory.Load()
	st := s.serverStats(n)
	retained, backlog := n.replication.retained()
	// What is not the data: the process as it started, clients, the backlog.
	overhead := min(n.startMemory+st.ClientMemory+st.ReplicaMemory+retained, m.used)
	dataset := m.used - overhead

	s.size("used_memory", m.used)
	s.size("used_memory_rss", m.resident)
	s.size("used_memory_peak", peak)
	s.percent("used_memory_peak_perc", m.used, peak)
	s.line("used_memory_overhead", overhead)
	s.line("used_memory_startup", n.startMemory)
	s.line("used_memory_dataset", dataset)
	s.percent("used_memory_dataset_perc", dataset, m.used-n.startMemory)
	s.line("allocator_allocated", m.objects)
	s.line("allocator_active", m.spans)
	s.line("allocator_resident", m.mapped)
	s.size("total_system_memory", n.host.memory)
	s.size("used_memory_lua", 0)
	s.size("used_memory_scripts", 0)
	s.line("number_of_cached_scripts", 0)
	s.line("number_of_functions", 0)
	s.line("number_of_libraries", 0)
	s.size("maxmemory", n.cfg.Int("maxmemory").Load())
	s.line("maxmemory_policy", n.cfg.Enum("maxmemory-policy").Load())
	s.ratio("allocator_frag_ratio", m.spans, m.objects)
	s.line("allocator_frag_bytes", m.spans-m.objects)
	s.ratio("allocator_rss_ratio", m.mapped, m.spans)
	s.line("allocator_rss_bytes", m.mapped-m.spans)
	s.ratio("rss_overhead_ratio", m.resident, m.mapped)
	s.line("rss_overhead_bytes", m.resident-m.mapped)
	s.ratio("mem_fragmentation_ratio", m.resident, m.used)
	s.line("mem_fragmentation_bytes", m.resident-m.used)
	s.line("mem_counted_for_evict", n.countedMemory())
	s.line("mem_not_counted_for_evict", retained)
	s.line("mem_replication_backlog", backlog)
	s.line("mem_total_replication_buffers", retained)
	s.line("mem_clients_slaves", st.ReplicaMemory)
	s.line("mem_clients_normal", st.ClientMemory)
	s.line("mem_aof_buffer", 0)
	s.line("mem_allocator", runtime.Version())
	s.line("active_defrag_running", n.defrag.effort.Load())
	s.line("lazyfree_pending_objects", 0)
	s.line("lazyfreed_objects", 0)
}
