/* latebind.hpp: what a plugin in C++17 may want beside latebind.h: exceptions become failures, objects own what they
 * open, results are std::string and std::vector.  Header only, and no more than a layer over the C functions. */
#ifndef LATEBIND_HPP
#define LATEBIND_HPP

#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace latebind {

/* Elements one after the other that belong to somebody else. */
template <class T> class View {
public:
    View() = default;
    View(const T *data, std::size_t size) : data_(data), size_(size) {}
    const T *data() const { return data_; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    const T *begin() const { return data_; }
    const T *end() const { return data_ + size_; }
    const T &operator[](std::size_t index) const { return data_[index]; }

private:
    const T *data_ = nullptr;
    std::size_t size_ = 0;
};

inline std::string_view text(lb_str value) { return {value.data, value.size}; }

/* Thrown by a method that is not there; any other exception makes the call fail with its what(). */
struct NotProvided : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/* A call's context.  Memory from it lives until the host has copied the result. */
class Context {
public:
    explicit Context(lb_context *raw) : raw_(raw) {}
    lb_context *raw() const { return raw_; }

    template <class T> T *allocate(std::size_t count)
    {
        void *memory = lb_alloc_array(raw_, count, sizeof(T));
        if (!memory)
            throw std::bad_alloc();
        return static_cast<T *>(memory);
    }

    /* A copy of text that lives as long as a result: for the fields of records. */
    lb_str copy(std::string_view value)
    {
        char *memory = allocate<char>(value.size() + 1);
        if (!value.empty())
            std::memcpy(memory, value.data(), value.size());
        memory[value.size()] = '\0';
        return {memory, value.size()};
    }

    /* lb_cancelled and lb_deadline of latebind.h. */
    bool cancelled() const { return lb_cancelled(raw_); }
    std::int64_t deadline() const { return lb_deadline(raw_); }

    /* For calls of services: throws what the host left in the context. */
    void check(lb_status status) const
    {
        if (status == LB_NOT_PROVIDED)
            throw NotProvided("");
        if (status != LB_OK)
            throw ServiceFailed();
    }

    /* The service's own words are in the context already. */
    struct ServiceFailed : std::exception {
        const char *what() const noexcept override { return ""; }
    };

private:
    lb_context *raw_;
};

/* What an iterator of a contract is in C++: the next item, or nothing at the end. */
template <class T> class Iterator {
public:
    virtual ~Iterator() = default;
    virtual std::optional<T> next(Context &ctx) = 0;
};

template <class Out, class T> void store(Context &, Out &out, const T &value) { out = value; }

inline void store(Context &ctx, lb_str &out, const std::string &value) { out = ctx.copy(value); }

inline void store(Context &ctx, lb_bytes &out, const std::vector<std::uint8_t> &value)
{
    std::uint8_t *memory = ctx.allocate<std::uint8_t>(value.size());
    if (!value.empty())
        std::memcpy(memory, value.data(), value.size());
    out = {memory, value.size()};
}

template <class List, class T> void store(Context &ctx, List &out, const std::vector<T> &value)
{
    using Element = std::remove_const_t<std::remove_pointer_t<decltype(out.data)>>;
    Element *memory = ctx.allocate<Element>(value.size());
    std::size_t index = 0;
    for (const auto &item : value)
        store(ctx, memory[index++], static_cast<const T &>(item));
    out.data = memory;
    out.size = value.size();
}

template <class Optional, class T> void store(Context &ctx, Optional &out, const std::optional<T> &value)
{
    out = {};
    out.has = value.has_value();
    if (value)
        store(ctx, out.value, *value);
}

/* Run one exported function: whatever it throws becomes a status and a message. */
template <class Function> lb_status guard(lb_context *raw, Function &&function) noexcept
{
    try {
        Context ctx(raw);
        return function(ctx);
    } catch (const Context::ServiceFailed &) {
        return LB_FAILED;
    } catch (const NotProvided &error) {
        (void)error;
        return LB_NOT_PROVIDED;
    } catch (const std::exception &error) {
        return lb_fail_text(raw, lb_text(error.what()));
    } catch (...) {
        return lb_fail_text(raw, lb_text("an exception that is no std::exception"));
    }
}

} // namespace latebind

/* The plugin's state is one object of the class: made by lb_init from (Context &, std::string_view config), destroyed
 * by lb_fini.  The methods of every contract are called on it. */
#define LATEBIND_STATE(Class)                                                                                          \
    extern "C" LB_EXPORT lb_status lb_init(lb_context *raw, lb_str config)                                             \
    {                                                                                                                  \
        return latebind::guard(raw, [&](latebind::Context &ctx) {                                                      \
            raw->state = new Class(ctx, latebind::text(config));                                                       \
            return LB_OK;                                                                                              \
        });                                                                                                            \
    }                                                                                                                  \
    extern "C" LB_EXPORT lb_status lb_fini(lb_context *raw)                                                            \
    {                                                                                                                  \
        return latebind::guard(raw, [&](latebind::Context &) {                                                         \
            delete static_cast<Class *>(raw->state);                                                                   \
            return LB_OK;                                                                                              \
        });                                                                                                            \
    }

#endif
