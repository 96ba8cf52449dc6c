using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>
/// CUDA C++ as courses and textbooks write it, compiled by NVRTC as it is: every check on, in two orders of blocks and warps, and the
/// results those of the same algorithm on the CPU.
/// </summary>
public partial class TextbookKernelTests
{
    private static void InEveryOrder(string source, Action<EmulatedModule> test)
    {
        foreach (ulong? seed in new ulong?[] { null, 7 })
        {
            using var module = EmulatedModule.Cuda(source);
            module.Options = new LaunchOptions { Mode = ExecutionMode.Checked, ScheduleSeed = seed };
            test(module);
        }
    }

    private static float[] Floats(int count)
    {
        var random = new Random(count);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() * 2 - 1)];
    }

    private static int[] Ints(int count, int most)
    {
        var random = new Random(count);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(most))];
    }

    [SkippableFact]
    public void TransposeThroughPaddedTiles() => InEveryOrder("""
        template <int TILE, int ROWS>
        __device__ void transpose_tile(float* out, const float* in, int width, int height)
        {
            __shared__ float tile[TILE][TILE + 1];
            int x = blockIdx.x * TILE + threadIdx.x, y = blockIdx.y * TILE + threadIdx.y;
            for (int j = 0; j < TILE; j += ROWS)
                if (x < width && y + j < height)
                    tile[threadIdx.y + j][threadIdx.x] = in[(y + j) * width + x];
            __syncthreads();
            x = blockIdx.y * TILE + threadIdx.x;
            y = blockIdx.x * TILE + threadIdx.y;
            for (int j = 0; j < TILE; j += ROWS)
                if (x < height && y + j < width)
                    out[(y + j) * height + x] = tile[threadIdx.x][threadIdx.y + j];
        }
        extern "C" __global__ void transpose(float* out, const float* in, int width, int height) { transpose_tile<32, 8>(out, in, width, height); }
        """, module =>
        {
            float[] input = Floats(70 * 45);
            ulong to = module.Allocate(4 * input.Length);
            module.Run("transpose", new Dim3(3, 2, 1), new Dim3(32, 8, 1), 0, to, module.Upload(input), 70, 45);
            float[] output = module.Download<float>(to, input.Length);
            for (int i = 0; i < input.Length; i++)
                Assert.Equal(input[i], output[i % 70 * 45 + i / 70]);
        });

    [SkippableFact]
    public void HistogramWithSharedCounters() => InEveryOrder("""
        extern "C" __global__ void histogram(const unsigned char* data, int n, unsigned int* bins)
        {
            __shared__ unsigned int local[256];
            for (int i = threadIdx.x; i < 256; i += blockDim.x)
                local[i] = 0;
            __syncthreads();
            for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
                atomicAdd(&local[data[i]], 1u);
            __syncthreads();
            for (int i = threadIdx.x; i < 256; i += blockDim.x)
                if (local[i] != 0)
                    atomicAdd(&bins[i], local[i]);
        }
        """, module =>
        {
            byte[] data = [.. Ints(10_000, 256).Select(x => (byte)(x & (x >> 1)))];
            ulong bins = module.Upload(new uint[256]);
            module.Run("histogram", new Dim3(4, 1, 1), new Dim3(96, 1, 1), 0, module.Upload(data), data.Length, bins);
            Assert.Equal(Enumerable.Range(0, 256).Select(b => (uint)data.Count(d => d == b)), module.Download<uint>(bins, 256));
        });

    [SkippableFact]
    public void PrefixSumsUpAndDownATree() => InEveryOrder("""
        extern "C" __global__ void scan(const int* in, int* out, int n)
        {
            extern __shared__ int values[];
            int t = threadIdx.x, offset = 1;
            values[2 * t] = 2 * t < n ? in[2 * t] : 0;
            values[2 * t + 1] = 2 * t + 1 < n ? in[2 * t + 1] : 0;
            int size = 2 * blockDim.x;
            for (int d = size >> 1; d > 0; d >>= 1) {
                __syncthreads();
                if (t < d)
                    values[offset * (2 * t + 2) - 1] += values[offset * (2 * t + 1) - 1];
                offset <<= 1;
            }
            if (t == 0)
                values[size - 1] = 0;
            for (int d = 1; d < size; d <<= 1) {
                offset >>= 1;
                __syncthreads();
                if (t < d) {
                    int a = offset * (2 * t + 1) - 1, b = offset * (2 * t + 2) - 1, old = values[a];
                    values[a] = values[b];
                    values[b] += old;
                }
            }
            __syncthreads();
            if (2 * t < n)
                out[2 * t] = values[2 * t];
            if (2 * t + 1 < n)
                out[2 * t + 1] = values[2 * t + 1];
        }
        """, module =>
        {
            int[] input = Ints(500, 100);
            ulong to = module.Allocate(4 * input.Length);
            module.Run("scan", new Dim3(1, 1, 1), new Dim3(256, 1, 1), 2048, module.Upload(input), to, input.Length);
            int sum = 0;
            Assert.Equal(input.Select(x => (sum += x) - x), module.Download<int>(to, input.Length));
        });

    [SkippableFact]
    public void BitonicSortInSharedMemory() => InEveryOrder("""
        extern "C" __global__ void sort(int* data)
        {
            __shared__ int s[512];
            unsigned int t = threadIdx.x;
            s[t] = data[t];
            for (unsigned int k = 2; k <= 512; k <<= 1)
                for (unsigned int j = k >> 1; j > 0; j >>= 1) {
                    __syncthreads();
                    unsigned int other = t ^ j;
                    if (other > t) {
                        bool up = (t & k) == 0;
                        int a = s[t], b = s[other];
                        if ((a > b) == up) {
                            s[t] = b;
                            s[other] = a;
                        }
                    }
                }
            __syncthreads();
            data[t] = s[t];
        }
        """, module =>
        {
            int[] input = Ints(512, 1000);
            ulong data = module.Upload(input);
            module.Run("sort", new Dim3(1, 1, 1), new Dim3(512, 1, 1), 0, data);
            Assert.Equal(input.Order(), module.Download<int>(data, 512));
        });

    [SkippableFact]
    public void TheLastBlockAddsWhatTheOthersLeft() => InEveryOrder("""
        __device__ unsigned int arrived = 0;
        extern "C" __global__ void sum(const float* in, int n, volatile float* partial, float* out)
        {
            __shared__ float s[128];
            __shared__ bool last;
            float mine = 0;
            for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
                mine += in[i];
            s[threadIdx.x] = mine;
            __syncthreads();
            for (int half = blockDim.x / 2; half > 0; half /= 2) {
                if (threadIdx.x < half)
                    s[threadIdx.x] += s[threadIdx.x + half];
                __syncthreads();
            }
            if (threadIdx.x == 0) {
                partial[blockIdx.x] = s[0];
                __threadfence();
                last = atomicInc(&arrived, gridDim.x - 1) == gridDim.x - 1;
            }
            __syncthreads();
            if (last && threadIdx.x == 0) {
                float total = 0;
                for (int b = 0; b < gridDim.x; b++)
                    total += partial[b];
                *out = total;
            }
        }
        """, module =>
        {
            // Whole numbers: the sum is exact in any order.
            float[] input = [.. Ints(5000, 50).Select(x => (float)x)];
            ulong from = module.Upload(input), partial = module.Allocate(4 * 6), to = module.Allocate(4);
            for (int round = 0; round < 2; round++)
            {
                module.Run("sum", new Dim3(6, 1, 1), new Dim3(128, 1, 1), 0, from, input.Length, partial, to);
                Assert.Equal(input.Sum(), module.Download<float>(to, 1)[0]);
            }
        });

    [SkippableFact]
    public void RowsOfAMatrixByWarps() => InEveryOrder("""
        extern "C" __global__ void matvec(const float* __restrict__ a, const float* __restrict__ x, float* y, int rows, int columns)
        {
            int warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
            if (warp >= rows)
                return;
            float sum = 0;
            for (int c = lane * 4; c < columns; c += 128) {
                float4 v = *reinterpret_cast<const float4*>(a + (size_t)warp * columns + c), w = *reinterpret_cast<const float4*>(x + c);
                sum += v.x * w.x + v.y * w.y + v.z * w.z + v.w * w.w;
            }
            for (int offset = 16; offset > 0; offset /= 2)
                sum += __shfl_down_sync(0xffffffff, sum, offset);
            if (lane == 0)
                y[warp] = sum;
        }
        """, module =>
        {
            float[] a = Floats(37 * 200), x = Floats(200);
            ulong to = module.Allocate(4 * 37);
            module.Run("matvec", new Dim3(10, 1, 1), new Dim3(128, 1, 1), 0, module.Upload(a), module.Upload(x), to, 37, 200);
            float[] y = module.Download<float>(to, 37);
            for (int r = 0; r < 37; r++)
                Assert.Equal(Enumerable.Range(0, 200).Sum(c => (double)a[200 * r + c] * x[c]), y[r], 1e-5);
        });

    [SkippableFact]
    public void CompactionByVotes() => InEveryOrder("""
        extern "C" __global__ void compact(const int* in, int n, int* out, int* count)
        {
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            bool keep = i < n && in[i] % 3 == 0;
            unsigned int kept = __ballot_sync(~0u, keep);
            int lane = threadIdx.x & 31, base = 0;
            if (lane == 0 && kept)
                base = atomicAdd(count, __popc(kept));
            base = __shfl_sync(~0u, base, 0);
            if (keep)
                out[base + __popc(kept & ((1u << lane) - 1))] = in[i];
        }
        """, module =>
        {
            int[] input = Ints(1000, 10_000);
            ulong to = module.Allocate(4 * input.Length), count = module.Upload(0);
            module.Run("compact", new Dim3(8, 1, 1), new Dim3(128, 1, 1), 0, module.Upload(input), input.Length, to, count);
            int kept = module.Download<int>(count, 1)[0];
            Assert.Equal(input.Where(x => x % 3 == 0).Order(), module.Download<int>(to, kept).Order());
        });

    [SkippableFact]
    public void AHashTableFilledByCompareAndSwap() => InEveryOrder("""
        __device__ __forceinline__ unsigned int hash(unsigned int k)
        {
            k ^= k >> 16; k *= 0x85ebca6bu; k ^= k >> 13; k *= 0xc2b2ae35u; k ^= k >> 16;
            return k;
        }
        extern "C" __global__ void insert(const unsigned int* keys, int n, unsigned int* slots, unsigned int* counts, int capacity)
        {
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i >= n) return;
            unsigned int key = keys[i], at = hash(key) % capacity;
            for (;;) {
                unsigned int old = atomicCAS(&slots[at], 0u, key);
                if (old == 0 || old == key) {
                    atomicAdd(&counts[at], 1u);
                    return;
                }
                at = (at + 1) % capacity;
            }
        }
        """, module =>
        {
            uint[] keys = [.. Ints(600, 200).Select(x => (uint)x + 1)];
            ulong slots = module.Upload(new uint[257]), counts = module.Upload(new uint[257]);
            module.Run("insert", new Dim3(5, 1, 1), new Dim3(128, 1, 1), 0, module.Upload(keys), keys.Length, slots, counts, 257);
            var found = module.Download<uint>(slots, 257).Zip(module.Download<uint>(counts, 257)).Where(s => s.First != 0).ToDictionary(s => s.First, s => s.Second);
            Assert.Equal(keys.GroupBy(k => k).ToDictionary(g => g.Key, g => (uint)g.Count()), found);
        });
}
