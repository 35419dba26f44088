package codec

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"example.com/parallel/internal/guard"
)

// Types holds the concrete types that travel in interfaces, the sentinel errors that keep their identity, and the
// plans compiled so far. The zero value is ready for use and knows the basic types and the errors of the standard
// library. It is safe for concurrent use and must not be copied. Ids are positions in the order of registration, so
// two processes understand each other's interfaces if they register the same in the same order.
type Types struct {
	plans sync.Map // reflect.Type to *Plan

	mu        sync.Mutex
	nodes     map[reflect.Type]*node         // complete nodes only
	tried     map[reflect.Type]fmt.Stringer  // types without a node that decided how others cross, and who reached them first
	codecs    map[reflect.Type]*Codec        // registered,
	coded     []reflect.Type                 // for these types, in order
	types     []reflect.Type                 // included or registered,
	sentinels []error                        // and these
	included  struct{ types, sentinels int } // how many of them
	basics    atomic.Bool                    // a basic type has a codec, see dynamic
	reg       atomic.Pointer[registry]       // made of them when it is needed, and read without the lock; nil: something is new

	rareOnce sync.Once
	rare     *registry // see rareOnes
}

// A registry is one state of the registrations. It is immutable.
type registry struct {
	types     []*entry
	byType    map[reflect.Type]*entry
	sentinels []error
	bySent    map[error]int
	sentTypes map[reflect.Type]struct{} // dynamic types of sentinels; spares most values a look-up by value
}

// An entry is a registered type. Its node is compiled when it is first needed, since most programs need few of the
// types that are registered from the start.
type entry struct {
	id   int
	rt   reflect.Type
	once sync.Once
	n    *node
	err  error
}

func (en *entry) node(t *Types) (*node, error) {
	en.once.Do(func() { en.n, en.err = t.compile(en.rt, nil) })
	return en.n, en.err
}

// Include adds types that can cross, and sentinels, to what is known from the start, before anything is registered. A
// process that starts has no time to compile and describe them: who includes them sees to it that others include the same.
func (t *Types) Include(types []reflect.Type, sentinels []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.types, t.sentinels = slices.Clip(types), slices.Clip(sentinels)
	t.included.types, t.included.sentinels = len(types), len(sentinels)
	t.reg.Store(nil)
}

// Register makes a concrete type known, so that its values can travel in interfaces. T and *T are two types.
// Registering a type again has no effect. The error is a *TypeError if values of the type cannot cross.
func (t *Types) Register(rt reflect.Type) error {
	if rt == nil {
		return &TypeError{"nil", "a nil interface has no type to register"}
	}
	if rt.Kind() == reflect.Interface {
		return &TypeError{rt.String(), "an interface type cannot be registered, only the concrete types that it holds"}
	}
	if _, err := t.compile(rt, typeRegistration{rt}); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.types) == rareBase/2 {
		return &TypeError{rt.String(), "more types are registered than can be told apart"}
	}
	if !slices.Contains(t.types, rt) {
		t.types = append(t.types, rt)
		t.reg.Store(nil)
	}
	return nil
}

// RegisterError makes err a sentinel: wherever it stands in an interface, the other process gets its own variable that
// was registered at the same position, so that == and errors.Is keep holding. Registering it again has no effect.
func (t *Types) RegisterError(err error) error {
	if err == nil {
		return errors.New("a nil error cannot be registered")
	}
	if !reflect.ValueOf(err).Comparable() {
		return fmt.Errorf("an error of type %T cannot be registered as a sentinel: its values cannot be compared", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.sentinels, err) {
		t.sentinels = append(t.sentinels, err)
		t.reg.Store(nil)
	}
	return nil
}

// SentinelID gives the position of a registered sentinel.
func (t *Types) SentinelID(err error) (int, bool) {
	return t.snapshot().sentinelID(err)
}

// Sentinel gives the registered sentinel at a position.
func (t *Types) Sentinel(id int) (error, bool) {
	r := t.snapshot()
	if id < 0 || id >= len(r.sentinels) {
		return nil, false
	}
	return r.sentinels[id], true
}

// Describe lists what is registered, one line each: types with their shape, sentinels with their type and message. Two
// processes with equal lists understand each other's interface values. What is known from the start is one line, and what
// was included none: to compile all of that takes a new process longer than all else that this package does there.
func (t *Types) Describe() []string {
	t.mu.Lock()
	registered, sentinels := slices.Clone(t.types[t.included.types:]), slices.Clone(t.sentinels[t.included.sentinels:])
	coded := slices.Clone(t.coded)
	t.mu.Unlock()
	lines := []string{shapeHeader() + runtime.Version() + " " + builtinFingerprint}
	for _, rt := range registered {
		p, err := t.Plan(rt)
		if err != nil { // Register has found none
			lines = append(lines, "type "+rt.String()+": "+err.Error())
			continue
		}
		lines = append(lines, "type "+rt.String()+": "+p.Shape())
	}
	for _, rt := range coded {
		lines = append(lines, "codec "+rt.PkgPath()+" "+rt.String())
	}
	for _, err := range sentinels {
		lines = append(lines, "error "+reflect.TypeOf(err).String()+": "+strconv.Quote(guard.Text(err)))
	}
	return lines
}

// Plan gives the plan of a type. The error is a *TypeError if values of the type cannot cross.
func (t *Types) Plan(rt reflect.Type) (*Plan, error) { return t.PlanFor(nil, rt) }

// PlanFor is Plan for a registration, which an error of RegisterCodec can then name.
func (t *Types) PlanFor(by fmt.Stringer, rt reflect.Type) (*Plan, error) {
	if p, ok := t.plans.Load(rt); ok {
		return p.(*Plan), nil
	}
	if rt == nil {
		return nil, &TypeError{"nil", "a nil interface has no type"}
	}
	n, err := t.compile(rt, by)
	if err != nil {
		return nil, err
	}
	p, _ := t.plans.LoadOrStore(rt, newPlan(t, n))
	return p.(*Plan), nil
}

// compile gives the complete node of a type. by is the registration that asks for it.
func (t *Types) compile(rt reflect.Type, by fmt.Stringer) (*node, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[rt]; n != nil {
		return n, nil
	}
	c := compiler{known: t.nodes, codecs: t.codecs, fresh: make(map[reflect.Type]*node)}
	n, refused := c.compile(rt)
	if refused != nil {
		return nil, refused.of(rt)
	}
	if t.nodes == nil {
		t.nodes = make(map[reflect.Type]*node)
	}
	for _, fresh := range c.order {
		fresh.by = by
		t.nodes[fresh.rt] = fresh
	}
	for _, tried := range c.tried {
		if t.tried == nil {
			t.tried = make(map[reflect.Type]fmt.Stringer)
		}
		if _, ok := t.tried[tried]; !ok {
			t.tried[tried] = by
		}
	}
	return n, nil
}

// snapshot gives the present registrations.
func (t *Types) snapshot() *registry {
	if r := t.reg.Load(); r != nil {
		return r
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := builtin()
	for _, rt := range t.types {
		r.addType(rt)
	}
	for _, err := range t.sentinels {
		r.addSentinel(err)
	}
	t.reg.Store(r)
	return r
}

func (r *registry) addType(rt reflect.Type) {
	if r.byType[rt] != nil {
		return
	}
	en := &entry{id: len(r.types), rt: rt}
	r.types = append(r.types, en)
	r.byType[rt] = en
}

func (r *registry) addSentinel(err error) {
	if _, ok := r.bySent[err]; ok {
		return
	}
	r.bySent[err] = len(r.sentinels)
	r.sentinels = append(r.sentinels, err)
	r.sentTypes[reflect.TypeOf(err)] = struct{}{}
}

// sentinelID finds v among the sentinels. A value of a sentinel's type may itself be uncomparable, through an interface
// in it.
func (r *registry) sentinelID(v any) (int, bool) {
	if _, ok := r.sentTypes[reflect.TypeOf(v)]; !ok {
		return 0, false
	}
	err, ok := v.(error)
	if !ok || !reflect.ValueOf(v).Comparable() {
		return 0, false
	}
	id, ok := r.bySent[err]
	return id, ok
}
