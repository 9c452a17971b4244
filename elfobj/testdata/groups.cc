// COMDAT groups: a member with relocations and one without.
template <class T> struct box {
	static T value;
	__attribute__((noinline)) T add(T v) { return value += v; }
};
template <class T> T box<T>::value = 7;
int use_int(box<int> &b) { return b.add(1); }
long use_long(box<long> &b) { return b.add(2); }
template struct box<int>;
template struct box<char>;
