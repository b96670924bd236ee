// ImageBatchVarShape and TensorBatch, as_images and as_tensors.
//
// A batch hands out the very Python objects that were pushed, so it keeps them beside the library's
// handles: both lists have the same length and order.
#include <nanobind/stl/string.h>

#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "bindings.h"
#include "data_types.h"
#include "foreign.h"
#include "nvcv_cached/error.h"
#include "nvcv_cached/image_batch.h"
#include "nvcv_cached/tensor_batch.h"
#include "shapes.h"
#include "wrapped_images.h"

namespace nvcv_cached::python {
namespace {

template <class Base, class Member>
struct PyBatch : Base {
  using Base::Base;
  std::vector<nb::object> objects;

  void PushOne(nb::handle object) {
    this->push_back(*nb::inst_ptr<Member>(object));
    objects.push_back(nb::borrow(object));
  }

  void PushAll(nb::handle sequence) {
    std::vector<Member> members;
    std::vector<nb::object> kept;
    for (nb::handle object : nb::borrow<nb::sequence>(sequence)) {
      const Member* const member = InstanceOf<Member>(object);
      if (member == nullptr) {
        throw InvalidArgument("element " + std::to_string(members.size()) +
                                  " of the sequence is a " + TypeName(object),
                              "give members of the batch's kind alone");
      }
      members.push_back(*member);
      kept.push_back(nb::borrow(object));
    }
    this->push_back(members);
    objects.insert(objects.end(), kept.begin(), kept.end());
  }

  void Pop(std::int64_t count) {
    this->pop_back(count);
    // Objects end after the lists agree again: their ends may run Python.
    std::vector<nb::object> ending(std::make_move_iterator(objects.end() - count),
                                   std::make_move_iterator(objects.end()));
    objects.resize(objects.size() - static_cast<std::size_t>(count));
  }

  void Clear() {
    this->clear();
    std::vector<nb::object> ending = std::move(objects);
    objects.clear();
  }
};

using PyImageBatch = PyBatch<ImageBatchVarShape, Image>;
using PyTensorBatch = PyBatch<TensorBatch, Tensor>;

// For the collector: a member may refer to its batch.
template <class Batch>
int Traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  for (const nb::object& object : nb::inst_ptr<Batch>(self)->objects) Py_VISIT(object.ptr());
  return 0;
}

template <class Batch>
int ClearSlot(PyObject* self) {
  if (nb::inst_ready(self)) nb::inst_ptr<Batch>(self)->Clear();
  return 0;
}

template <class Batch>
PyType_Slot g_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(Traverse<Batch>)},
                         {Py_tp_clear, reinterpret_cast<void*>(ClearSlot<Batch>)},
                         {0, nullptr}};

template <class Batch, class Member>
void PushBack(Batch& self, nb::handle what) {
  if (InstanceOf<Member>(what) != nullptr) return self.PushOne(what);
  if (PySequence_Check(what.ptr()) == 0 || PyUnicode_Check(what.ptr()) != 0)
    throw nb::next_overload();
  self.PushAll(what);
}

// What ImageBatchVarShape and TensorBatch have in common.
template <class Batch, class Member>
void BindList(nb::class_<Batch, Container>& batch, const char* pushback_signature) {
  batch
      .def(
          "__init__",
          [](Batch* self, nb::handle capacity) { new (self) Batch(IntegerOf(capacity)); },
          nb::arg("capacity"), nb::sig("def __init__(self, capacity: int) -> None"),
          "Empty; InvalidArgument for a negative capacity.")
      .def_prop_ro(
          "capacity", [](const Batch& self) { return self.capacity(); }, "Most members.")
      .def("__len__", [](const Batch& self) { return self.objects.size(); })
      .def(
          "__iter__",
          [](const Batch& self) {
            nb::list objects;
            for (const nb::object& object : self.objects) objects.append(object);
            return objects.attr("__iter__")();
          },
          nb::sig((std::string("def __iter__(self) -> typing.Iterator[") +
                   nb::cast<std::string>(nb::type<Member>().attr("__name__")) + "]")
                      .c_str()),
          "Over the very objects that were pushed.")
      .def("pushback", &PushBack<Batch, Member>, nb::arg("members"), nb::sig(pushback_signature),
           "One, or a sequence; Overflow beyond the capacity. What fails changes nothing.")
      .def(
          "popback", [](Batch& self, nb::handle count) { self.Pop(IntegerOf(count)); },
          nb::arg("count") = 1, nb::sig("def popback(self, count: int = 1) -> None"),
          "Takes the last ones off; Underflow when fewer are there.")
      .def(
          "clear", [](Batch& self) { self.Clear(); }, "Takes all off.");
}

nb::object AsImages(nb::handle buffers, Format format) {
  const std::size_t count = nb::len(buffers);
  if (count == 0) throw InvalidArgument("a batch of no images", "give one array or more");
  PyImageBatch batch(static_cast<std::int64_t>(count));
  for (nb::handle buffer : nb::borrow<nb::sequence>(buffers)) {
    nb::object image = nb::cast(WrapImage(buffer, format));
    batch.PushOne(image);
  }
  return nb::cast(std::move(batch));
}

nb::object AsTensors(nb::handle buffers, nb::handle layout) {
  if (PyList_Check(buffers.ptr()) == 0 && PyTuple_Check(buffers.ptr()) == 0)
    throw nb::next_overload();
  const TensorLayout labels = LayoutOf(layout);
  const std::size_t count = nb::len(buffers);
  if (count == 0) throw InvalidArgument("a batch of no tensors", "give one array or more");
  PyTensorBatch batch(static_cast<std::int64_t>(count));
  for (nb::handle buffer : buffers) {
    nb::object tensor = nb::cast(WrapBuffer(buffer, labels));
    batch.PushOne(tensor);
  }
  return nb::cast(std::move(batch));
}

std::int64_t IndexOf(nb::handle index) {
  if (PyIndex_Check(index.ptr()) == 0) throw nb::next_overload();
  return IntegerOf(index);
}

void BindImageBatch(nb::module_& module) {
  nb::class_<PyImageBatch, Container> batch(module, "ImageBatchVarShape",
                                            nb::type_slots(g_slots<PyImageBatch>),
                                            nb::is_weak_referenceable(),
                                            "Images of different sizes and formats that are worked "
                                            "on together, up to `capacity` of them.");
  BindList<PyImageBatch, Image>(
      batch, "def pushback(self, members: Image | typing.Sequence[Image]) -> None");
  batch
      .def_prop_ro(
          "maxsize",
          [](const PyImageBatch& self) {
            const Size most = self.max_size();
            return nb::make_tuple(most.width, most.height);
          },
          nb::sig("def maxsize(self) -> tuple[int, int]"),
          "(width, height), the largest of each; (0, 0) when empty.")
      .def_prop_ro(
          "uniqueformat",
          [](const PyImageBatch& self) -> nb::object {
            const std::optional<Format> format = self.unique_format();
            return format.has_value() ? nb::cast(*format) : nb::none();
          },
          nb::sig("def uniqueformat(self) -> Format | None"), "None when empty or mixed.");
  module.def(
      "as_images", &AsImages, nb::arg("buffers") = nb::list(), nb::arg("format") = Format(),
      nb::sig("def as_images(buffers: typing.Sequence[object] = [], format: Format = ...) -> "
              "ImageBatchVarShape"),
      "A batch of as_image of each.");
}

void BindTensorBatch(nb::module_& module) {
  nb::class_<PyTensorBatch, Container> batch(
      module, "TensorBatch", nb::type_slots(g_slots<PyTensorBatch>), nb::is_weak_referenceable(),
      "Tensors of one rank, type and layout that are worked on together, up to `capacity` of "
      "them.");
  BindList<PyTensorBatch, Tensor>(
      batch, "def pushback(self, members: Tensor | typing.Sequence[Tensor]) -> None");
  batch
      .def_prop_ro(
          "ndim", [](const PyTensorBatch& self) { return self.rank(); }, "-1 when empty.")
      .def_prop_ro(
          "dtype",
          [](const PyTensorBatch& self) -> nb::object {
            const std::optional<DataType> type = self.dtype();
            return type.has_value() ? nb::borrow(NumpyDtype(*type)) : nb::none();
          },
          nb::sig("def dtype(self) -> numpy.dtype | None"), "None when empty.")
      .def_prop_ro(
          "layout", [](const PyTensorBatch& self) { return LayoutOrNone(self.layout()); },
          nb::sig("def layout(self) -> TensorLayout | None"), "None when empty, or without one.")
      .def(
          "__getitem__",
          [](const PyTensorBatch& self, nb::handle index) {
            const std::int64_t i = IndexOf(index);
            self.at(i);
            return self.objects[static_cast<std::size_t>(i)];
          },
          nb::arg(), nb::sig("def __getitem__(self, index: int, /) -> Tensor"),
          "Of 0 to len - 1; RuntimeError for others.")
      .def(
          "__setitem__",
          [](PyTensorBatch& self, nb::handle index, nb::handle tensor) {
            const Tensor* const member = InstanceOf<Tensor>(tensor);
            if (member == nullptr) throw nb::next_overload();
            const std::int64_t i = IndexOf(index);
            self.set(i, *member);
            nb::object ending =
                std::exchange(self.objects[static_cast<std::size_t>(i)], nb::borrow(tensor));
          },
          nb::arg(), nb::arg(),
          nb::sig("def __setitem__(self, index: int, tensor: Tensor, /) -> None"));
  module.def(
      "as_tensors", &AsTensors, nb::arg("buffers") = nb::list(),
      nb::arg("layout").none() = nb::none(),
      nb::sig("def as_tensors(buffers: typing.Sequence[object] = [], layout: TensorLayout | str "
              "| None = None) -> TensorBatch"),
      "A batch of as_tensor of each.");
}

}  // namespace

void BindBatches(nb::module_& module) {
  BindImageBatch(module);
  BindTensorBatch(module);
}

}  // namespace nvcv_cached::python
