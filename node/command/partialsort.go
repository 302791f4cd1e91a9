package command

// partialSort sorts list so far that the elements of ranks from to to, both
// included, stand in their places. It is the quicksort of Bentley and McIlroy
// ("Engineering a sort function", 1993), which leaves out the parts in which
// none of those ranks lies; and it is here because what it does with equal
// elements is what clients of the reference see when they ask for some of them.
// Source: the reference's pqsort.
func partialSort[T any](list []T, from, to int, compare func(a, b *T) int) {
	for len(list) >= 7 {
		choosePivot(list, compare)
		less, greater := partition(list, compare)
		if less > 1 && from < less && to >= 0 {
			partialSort(list[:less], from, to, compare)
		}
		rest := len(list) - greater
		if greater <= 1 || to < rest || from >= len(list) {
			return
		}
		list, from, to = list[rest:], from-rest, to-rest
	}
	for i := range list {
		for j := i; j > 0 && compare(&list[j-1], &list[j]) > 0; j-- {
			list[j-1], list[j] = list[j], list[j-1]
		}
	}
}

// choosePivot puts the median of three elements, or of nine, first.
func choosePivot[T any](list []T, compare func(a, b *T) int) {
	n := len(list)
	low, middle, high := 0, n/2, n-1
	median := func(a, b, c int) int {
		if compare(&list[a], &list[b]) < 0 {
			switch {
			case compare(&list[b], &list[c]) < 0:
				return b
			case compare(&list[a], &list[c]) < 0:
				return c
			}
			return a
		}
		switch {
		case compare(&list[b], &list[c]) > 0:
			return b
		case compare(&list[a], &list[c]) < 0:
			return a
		}
		return c
	}
	if n > 7 {
		if n > 40 {
			d := n / 8
			low = median(low, low+d, low+2*d)
			middle = median(middle-d, middle, middle+d)
			high = median(high-2*d, high-d, high)
		}
		middle = median(low, middle, high)
	}
	list[0], list[middle] = list[middle], list[0]
}

// partition puts what is less than the first element before it and what is
// greater behind, and returns how many these are.
func partition[T any](list []T, compare func(a, b *T) int) (less, greater int) {
	// While it goes on, equal elements are gathered at both ends: before a and
	// behind d. What lies from a to b is less, from c to d greater.
	n := len(list)
	a, b, c, d := 1, 1, n-1, n-1
	for {
		for ; b <= c; b++ {
			order := compare(&list[b], &list[0])
			if order > 0 {
				break
			}
			if order == 0 {
				list[a], list[b] = list[b], list[a]
				a++
			}
		}
		for ; b <= c; c-- {
			order := compare(&list[c], &list[0])
			if order < 0 {
				break
			}
			if order == 0 {
				list[c], list[d] = list[d], list[c]
				d--
			}
		}
		if b > c {
			break
		}
		list[b], list[c] = list[c], list[b]
		b++
		c--
	}
	less, greater = b-a, d-c
	exchange(list, 0, b-min(a, less), min(a, less))
	equal := min(greater, n-1-d)
	exchange(list, b, n-equal, equal)
	return less, greater
}

// exchange swaps the n elements from i on with those from j on.
func exchange[T any](list []T, i, j, n int) {
	for k := range n {
		list[i+k], list[j+k] = list[j+k], list[i+k]
	}
}
