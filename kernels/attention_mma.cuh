// Parts of attention on tensor cores: tiles of rows in shared memory, the products made of them, and the results' way out. A warp makes
// 16 rows of a product at a time (a strip). A step of a product's depth takes 32 bytes of a row: 16 elements of bfloat16, 8 of
// float rounded to tf32; but for that and for the transposed tile the two types share their code.
#pragma once

#include "attention.cuh"
#include "scalar.cuh"
#include "tensorcore.cuh"

#if __CUDA_ARCH__ >= 800

// Four warps to a block.
constexpr int warps = 4, threads = 32 * warps;

constexpr float log2_e = 1.44269504f, ln_2 = 0.69314718f;

// Tiles and what else a block shares; each tile begins at a multiple of 128 bytes.
extern __shared__ __align__(128) char memory[];

template <class T>
struct Step;

template <>
struct Step<bfloat16>
{
    static constexpr unsigned signs = 0x80008000u;

    static __device__ __forceinline__ unsigned rounded(unsigned word) { return word; }

    static __device__ __forceinline__ void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { mma_bf16(d, a, b); }
};

template <>
struct Step<float>
{
    static constexpr unsigned signs = 0x80000000u;

    static __device__ __forceinline__ unsigned rounded(unsigned word) { return to_tf32(word); }

    static __device__ __forceinline__ void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { mma_tf32(d, a, b); }
};

template <class T, int Width>
constexpr int steps_of = Width * (int)sizeof(T) / 32;

template <class T, int Width>
constexpr int row_bytes = Width * (int)sizeof(T);

// 2^x; 0 for minus infinity.
__device__ __forceinline__ float exp2_approximately(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float load_shared(unsigned address)
{
    float x;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(address) : "memory");
    return x;
}

// The address of a chunk further on in the row, for an even number of chunks less than those of the row: `address` is that of one of the
// first two. With an exclusive-or known at compile time, a lane keeps at most four addresses for all rows and chunks of a tile.
__device__ __forceinline__ unsigned chunks_on(unsigned address, int chunks)
{
    return (address ^ chunks % 8 * 16) + chunks / 8 * 128;
}

// Joins a value of the four lanes that share a row.
__device__ __forceinline__ float row_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ __forceinline__ float row_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// The vectors of one sample and head, in place in their tensor [batch, length, heads, head_dim]: 16-byte aligned, head_dim a multiple of
// 16 bytes.
template <class T>
struct Vectors
{
    T* start;
    int length, stride, width;

    __device__ __forceinline__ Vectors(const AttentionGeometry& g, T* tensor, int length, int pair)
        : start(tensor + (long long)(pair / g.heads) * length * g.heads * g.head_dim + pair % g.heads * g.head_dim),
          length(length), stride(g.heads * g.head_dim), width(g.head_dim)
    {
    }
};

// Starts copies of Width columns of Rows vectors to a tile; zeros beyond length and width, which add nothing to any product. A thread has
// the same chunk of every few rows.
template <class T, int Rows, int Width>
__device__ __forceinline__ void copy_tile(unsigned tile, const Vectors<const T>& from, int first_row, int first_column = 0)
{
    constexpr int chunks = row_bytes<T, Width> / 16, rows_at_once = threads / chunks;
    static_assert(threads % chunks == 0, "a thread has one chunk of a row");
    int row = threadIdx.x / chunks, chunk = threadIdx.x % chunks, column = first_column + chunk * (16 / (int)sizeof(T));
    int remaining = column < from.width ? from.length - first_row - row : 0;
    const T* p = from.start + (first_row + row) * from.stride + column;
#pragma unroll
    for (int r = 0; r < Rows; r += rows_at_once)
    {
        if (Rows % rows_at_once == 0 || row + r < Rows)
            cp_async_16(tile + swizzle<row_bytes<T, Width>>(row + r, chunk), r < remaining ? p : from.start, r < remaining ? 16 : 0);
        p += rows_at_once * from.stride;
    }
}

// Starts copies of Count floats; zeros beyond length.
template <int Count>
__device__ __forceinline__ void copy_floats(unsigned to, const float* from, int first, int length)
{
    static_assert(Count <= threads, "a float for each thread");
    if (threadIdx.x < Count)
    {
        bool exists = first + (int)threadIdx.x < length;
        cp_async_4(to + 4 * threadIdx.x, exists ? from + first + threadIdx.x : from, exists ? 4 : 0);
    }
}

// A strip of rows as left side of products, held in registers.
template <class T, int Width>
struct HeldStrip
{
    static constexpr int steps = steps_of<T, Width>;
    unsigned a[steps][4];

    // From row `first` on, straight from global memory: each element is used by one warp only. `flip` inverts chosen bits.
    __device__ __forceinline__ void load(const Vectors<const T>& from, int first, unsigned flip = 0)
    {
        constexpr int elements = 4 / sizeof(T);
        int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int step = 0; step < steps; step++)
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                int row = first + g + i % 2 * 8, column = (8 * step + t + i / 2 * 4) * elements;
                bool exists = row < from.length && column < from.width;
                a[step][i] = exists ? Step<T>::rounded(*(const unsigned*)(from.start + row * from.stride + column)) ^ flip : 0;
            }
        }
    }

    __device__ __forceinline__ void get(int step, unsigned (&fragment)[4]) const
    {
#pragma unroll
        for (int i = 0; i < 4; i++)
            fragment[i] = a[step][i];
    }
};

// The same, read from a tile in shared memory each time: for heads too wide for registers.
template <class T, int Width>
struct SharedStrip
{
    static constexpr int steps = steps_of<T, Width>;
    unsigned address;

    // Its rows begin with `row` of a tile.
    __device__ __forceinline__ void load(unsigned tile, int row)
    {
        address = tile + swizzle<row_bytes<T, Width>>(row + threadIdx.x % 16, threadIdx.x % 32 / 16);
    }

    __device__ __forceinline__ void get(int step, unsigned (&fragment)[4]) const
    {
        ldmatrix_x4(fragment, chunks_on(address, 2 * step));
#pragma unroll
        for (int i = 0; i < 4; i++)
            fragment[i] = Step<T>::rounded(fragment[i]);
    }
};

template <class T, int Width, bool Held>
struct StripKind
{
    typedef HeldStrip<T, Width> Type;
};

template <class T, int Width>
struct StripKind<T, Width, false>
{
    typedef SharedStrip<T, Width> Type;
};

// d[strip] = strip times the transpose of a tile: the scores of its rows with Columns rows of the tile.
template <class T, int Width, int Columns, class Strip, int Strips>
__device__ __forceinline__ void multiply_transposed(float (&d)[Strips][Columns / 8][4], const Strip (&left)[Strips], unsigned tile)
{
    int lane = threadIdx.x % 32;
    unsigned right = tile + swizzle<row_bytes<T, Width>>(lane % 8 + lane / 16 * 8, lane / 8 % 2);
#pragma unroll
    for (int strip = 0; strip < Strips; strip++)
    {
#pragma unroll
        for (int n = 0; n < Columns / 8; n++)
            d[strip][n][0] = d[strip][n][1] = d[strip][n][2] = d[strip][n][3] = 0;
    }
#pragma unroll
    for (int step = 0; step < Strip::steps; step++)
    {
        unsigned a[Strips][4];
#pragma unroll
        for (int strip = 0; strip < Strips; strip++)
            left[strip].get(step, a[strip]);
#pragma unroll
        for (int n = 0; n < Columns / 16; n++)
        {
            unsigned b[4];
            ldmatrix_x4(b, chunks_on(right, 2 * step) + 16 * n * row_bytes<T, Width>);
#pragma unroll
            for (int i = 0; i < 4; i++)
                b[i] = Step<T>::rounded(b[i]);
#pragma unroll
            for (int strip = 0; strip < Strips; strip++)
            {
                Step<T>::multiply(d[strip][2 * n], a[strip], {b[0], b[1]});
                Step<T>::multiply(d[strip][2 * n + 1], a[strip], {b[2], b[3]});
            }
        }
    }
}

// d[strip] += p[strip] times the first Columns columns of a tile. The accumulators p are left fragments as they lie: in
// bfloat16 two of them, rounded and packed, are one of depth 16.
template <int Width, int Columns, int Depth, int Strips>
__device__ __forceinline__ void multiply_add(
    float (&d)[Strips][Columns / 8][4], const float (&p)[Strips][Depth / 8][4], unsigned tile, bfloat16)
{
    constexpr int bytes = row_bytes<bfloat16, Width>;
    unsigned right = tile + swizzle<bytes>(threadIdx.x % 16, threadIdx.x % 32 / 16);
#pragma unroll
    for (int k = 0; k < Depth / 16; k++)
    {
        unsigned a[Strips][4];
#pragma unroll
        for (int strip = 0; strip < Strips; strip++)
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[strip][i] = pack_bf16(p[strip][2 * k + i / 2][i % 2 * 2], p[strip][2 * k + i / 2][i % 2 * 2 + 1]);
        }
#pragma unroll
        for (int n = 0; n < Columns / 16; n++)
        {
            unsigned b[4];
            ldmatrix_x4_transposed(b, chunks_on(right, 2 * n) + 16 * k * bytes);
#pragma unroll
            for (int strip = 0; strip < Strips; strip++)
            {
                mma_bf16(d[strip][2 * n], a[strip], {b[0], b[1]});
                mma_bf16(d[strip][2 * n + 1], a[strip], {b[2], b[3]});
            }
        }
    }
}

// The same in tf32. A lane's accumulators are columns 2t and 2t + 1 where a fragment wants t and t + 4; since the order of a product's
// depth is free, row 2t of the tile is called t and 2t + 1 is called t + 4, and nothing has to move. ldmatrix cannot transpose 32-bit
// elements; read one by one, rows 0, 2, 4, 6 (or 1, 3, 5, 7) of eight columns meet all 32 banks of a swizzled tile.
template <int Width, int Columns, int Depth, int Strips>
__device__ __forceinline__ void multiply_add(
    float (&d)[Strips][Columns / 8][4], const float (&p)[Strips][Depth / 8][4], unsigned tile, float)
{
    static_assert(Width >= 32, "narrower rows meet bank conflicts");
    constexpr int bytes = row_bytes<float, Width>;
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    unsigned right[2];
#pragma unroll
    for (int i = 0; i < 2; i++)
        right[i] = tile + swizzle<bytes>(2 * t + i, g / 4) + g % 4 * 4;
#pragma unroll
    for (int k = 0; k < Depth / 8; k++)
    {
        unsigned a[Strips][4];
#pragma unroll
        for (int strip = 0; strip < Strips; strip++)
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[strip][i] = to_tf32(p[strip][k][i % 2 * 2 + i / 2]);
        }
#pragma unroll
        for (int n = 0; n < Columns / 8; n++)
        {
            unsigned b[2];
#pragma unroll
            for (int i = 0; i < 2; i++)
                b[i] = to_tf32(load_shared(chunks_on(right[i], 2 * n) + 8 * k * bytes));
#pragma unroll
            for (int strip = 0; strip < Strips; strip++)
                mma_tf32(d[strip][n], a[strip], b);
        }
    }
}

// Writes a strip of Columns columns, its rows g and g + 8 times a factor each, whole sectors of 32 bytes at a time: in bfloat16 two
// neighbouring lanes exchange halves, after which one has four elements of the first eight columns and the other four of the second.
template <int Columns>
__device__ __forceinline__ void write_strip(
    const Vectors<bfloat16>& to, int first_row, int first_column, const float (&d)[Columns / 8][4], const float (&factor)[2])
{
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, odd = t % 2;
#pragma unroll
    for (int half = 0; half < 2; half++)
    {
        int row = first_row + g + 8 * half;
#pragma unroll
        for (int n = 0; n < Columns / 8; n += 2)
        {
            unsigned first = pack_bf16(factor[half] * d[n][2 * half], factor[half] * d[n][2 * half + 1]);
            unsigned second = pack_bf16(factor[half] * d[n + 1][2 * half], factor[half] * d[n + 1][2 * half + 1]);
            unsigned other = __shfl_xor_sync(0xffffffffu, odd ? first : second, 1);
            int column = first_column + 8 * (n + odd) + t / 2 * 4;
            if (row < to.length && column < to.width)
                *(uint2*)(to.start + row * to.stride + column) = odd ? make_uint2(other, second) : make_uint2(first, other);
        }
    }
}

template <int Columns>
__device__ __forceinline__ void write_strip(
    const Vectors<float>& to, int first_row, int first_column, const float (&d)[Columns / 8][4], const float (&factor)[2])
{
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; half++)
    {
        int row = first_row + g + 8 * half;
#pragma unroll
        for (int n = 0; n < Columns / 8; n++)
        {
            int column = first_column + 8 * n + 2 * t;
            if (row < to.length && column < to.width)
                *(float2*)(to.start + row * to.stride + column) = make_float2(factor[half] * d[n][2 * half], factor[half] * d[n][2 * half + 1]);
        }
    }
}

#endif
