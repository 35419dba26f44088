package faithful

import (
	"encoding/json"
	"reflect"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/inf.v0"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/randfill"

	"example.com/parallel"
)

// Kubernetes objects. Only resource.Quantity needs a codec.

// sameQuantity looks at all that a quantity says of itself.
func sameQuantity(a, b resource.Quantity) bool {
	intA, okA := a.AsInt64()
	intB, okB := b.AsInt64()
	return a.Cmp(b) == 0 && a.Format == b.Format && a.String() == b.String() && intA == intB && okA == okB
}

func quantities() []resource.Quantity {
	values := []resource.Quantity{
		*resource.NewQuantity(1, resource.BinarySI), *resource.NewMilliQuantity(-1500, resource.DecimalExponent),
		*resource.NewScaledQuantity(7, resource.Nano), *resource.NewDecimalQuantity(*inf.NewDec(1, 30), resource.DecimalSI),
		*resource.NewDecimalQuantity(*inf.NewDec(5, 0), resource.DecimalSI),
	}
	for _, text := range []string{"0", "0.5", "100m", "1Gi", "1.5Gi", "-3Ki", "12e6", "9223372036854775807", "0.1n", "100E"} {
		values = append(values, resource.MustParse(text))
	}
	return values
}

// The String methods of objects are left out: they print the addresses of pointers.

// fillers fill what is not its fields: quantities, and interfaces.
var fillers = []any{
	func(q *resource.Quantity, c randfill.Continue) { *q = quantities()[c.Intn(len(quantities()))] },
	func(o *runtime.Object, _ randfill.Continue) { *o = nil },
}

func init() {
	m := newModule("k8s.io/apimachinery")
	registerQuantity()
	registerRequirement()
	check(m, quantities()...).equalBy(sameQuantity).
		calls("MilliValue", func(v resource.Quantity) any { return v.MilliValue() }).
		calls("AsApproximateFloat64", func(v resource.Quantity) any { return v.AsApproximateFloat64() })
	check(m, each(instants, metav1.NewTime)...).
		calls("Rfc3339Copy", func(v metav1.Time) any { return v.Rfc3339Copy() }).filled(5)
	check(m, each(instants, metav1.NewMicroTime)...).filled(5)
	check(m, metav1.Duration{Duration: -1}).filled(3)
	check(m, intstr.FromInt32(80), intstr.FromString(""), intstr.FromString("50%"),
		intstr.IntOrString{Type: 9, IntVal: 1, StrVal: "x"}).filled(5)
	check(m, metav1.ObjectMeta{Name: "n", Labels: map[string]string{}, Annotations: map[string]string{"": ""},
		Finalizers: []string{}}).
		filled(20, fillers...)
	check(m, metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}).filled(3)
	check(m, metav1.LabelSelector{MatchLabels: map[string]string{}}).
		calls("FormatLabelSelector", func(v metav1.LabelSelector) any { return metav1.FormatLabelSelector(&v) }).
		filled(10)
	check(m, metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue}).filled(5)
	check(m, &metav1.Status{Status: metav1.StatusFailure, Details: &metav1.StatusDetails{}}).filled(5)
	check(m, labels.Set{}, labels.Set{"a": "b", "": ""})
	check(m, must(labels.ParseToRequirements("a in (x, y), !b, c != d, n > 3"))...).
		calls("Matches", func(v labels.Requirement) any { return v.Matches(labels.Set{"a": "x", "n": "4"}) }).
		equalBy(func(a, b labels.Requirement) bool {
			return reflect.DeepEqual(a, labels.Requirement{}) == reflect.DeepEqual(b, labels.Requirement{}) && a.Equal(b)
		})
	check(m, types.NamespacedName{Namespace: "ns", Name: "n"}).filled(3)
	check(m, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}).filled(3)
	check(m, sets.New[string](), sets.New("a", "b")).calls("Len", func(v sets.Set[string]) any { return v.Len() })
	check(m, runtime.RawExtension{Raw: []byte(`{"kind":"X"}`)})
	check(m, &unstructured.Unstructured{}, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "n", "generation": int64(3)},
		"data": map[string]any{}, "list": []any{"a", 1.5, nil, false, map[string]any{"k": []any{}}},
	}}).calls("GetName", func(v *unstructured.Unstructured) any { return v.GetName() })
}

func init() {
	m := newModule("k8s.io/api")
	byQuantity := cmp.Comparer(sameQuantity)
	parallel.RegisterType(&corev1.Pod{})
	check(m, corev1.ResourceList{}, corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m"), "": {}}).
		with(byQuantity).differentInside()
	check(m, &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}}}}}}).
		with(byQuantity).differentInside().filled(20, fillers...).without("String").
		calls("DeepCopy", func(v *corev1.Pod) any { return answer(json.Marshal(v.DeepCopy())) })
	check(m, corev1.Service{}).with(byQuantity).differentInside().filled(10, fillers...).without("String")
	check(m, corev1.ConfigMap{BinaryData: map[string][]byte{"a": {}, "b": nil}, Immutable: new(bool)}).
		filled(10, fillers...).without("String")
	check(m, corev1.Secret{StringData: map[string]string{"k": "v"}}).filled(5, fillers...).without("String")
	check(m, corev1.EnvVar{Name: "N", ValueFrom: &corev1.EnvVarSource{}}).with(byQuantity).differentInside().
		filled(5, fillers...).without("String")
	check(m, corev1.Node{}).with(byQuantity).differentInside().filled(5, fillers...).without("String")
	check(m, appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(int32)}}).with(byQuantity).differentInside().
		filled(5, fillers...).without("String")
}
