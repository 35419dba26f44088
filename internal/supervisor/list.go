package supervisor

// list is a list whose elements can be taken out wherever they are, in a time that does not
// depend on how many there are. The zero value is empty. What guards it is its owner's
// business.
type list[T any] struct {
	first, last *link[T]
	n           int
}

// link is an element's place in a list. It belongs to the element, so that putting it into
// a list allocates nothing. An element is in one list at most for each link that it has.
type link[T any] struct {
	value      T // set while it is in a list
	in         *list[T]
	prev, next *link[T]
}

// push puts v, whose link is e, at the end of l. It does nothing if e is in a list.
func (l *list[T]) push(e *link[T], v T) {
	if e.in != nil {
		return
	}
	*e = link[T]{value: v, in: l, prev: l.last}
	if l.last == nil {
		l.first = e
	} else {
		l.last.next = e
	}
	l.last = e
	l.n++
}

// remove takes e out of l. It returns false if e is not in it.
func (l *list[T]) remove(e *link[T]) bool {
	if e.in != l {
		return false
	}
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	*e = link[T]{}
	l.n--
	return true
}

// toEnd moves e, which is in l, to its end.
func (l *list[T]) toEnd(e *link[T]) {
	v := e.value
	l.remove(e)
	l.push(e, v)
}

// values are the elements, in order.
func (l *list[T]) values() (all []T) {
	for e := l.first; e != nil; e = e.next {
		all = append(all, e.value)
	}
	return all
}
