using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// <c>kernels/tensorcore.cuh</c>: fragments are loaded from either layout of a matrix as its comments say, copies fill with zeros, and
/// swizzled tiles meet no bank conflict.
/// </summary>
public class TensorCoreHeaderTests
{
    // One warp makes a 16 x 16 product of depth 16, with A and B in swizzled tiles filled by cp.async.
    private const string Kernels = """
        #include "tensorcore.cuh"

        struct Tile { float d[2][4]; };

        __device__ void store(float* c, const Tile& t)
        {
            int g = threadIdx.x / 4, u = threadIdx.x % 4;
            for (int j = 0; j < 2; j++)
                for (int e = 0; e < 4; e++)
                    c[(g + e / 2 * 8) * 16 + 8 * j + 2 * u + e % 2] = t.d[j][e];
        }

        // 16 rows of 16 bf16: 32 bytes, two chunks. Rows from `valid` on become zero.
        template <int RowBytes>
        __device__ void fill(unsigned tile, const char* from, int rows, int row_bytes, int valid)
        {
            for (int i = threadIdx.x; i < rows * row_bytes / 16; i += 32)
            {
                int row = i / (row_bytes / 16), chunk = i % (row_bytes / 16);
                cp_async_16(tile + swizzle<RowBytes>(row, chunk), row < valid ? from + row * row_bytes + chunk * 16 : from, row < valid ? 16 : 0);
            }
            cp_async_commit();
        }

        template <bool TransposeA, bool TransposeB>
        __device__ void bf16(const char* a, const char* b, float* c, int valid)
        {
            __shared__ __align__(128) char tile_a[16 * 64], tile_b[16 * 64];
            unsigned to_a = shared_address(tile_a), to_b = shared_address(tile_b);
            fill<64>(to_a, a, 16, 32, valid);
            fill<64>(to_b, b, 16, 32, 16);
            cp_async_wait<0>();
            __syncwarp();
            int l = threadIdx.x;
            unsigned left[4], right[4];
            if (TransposeA)
                ldmatrix_x4_transposed(left, to_a + swizzle<64>(l % 8 + l / 16 * 8, l / 8 % 2));
            else
                ldmatrix_x4(left, to_a + swizzle<64>(l % 16, l / 16));
            if (TransposeB)
                ldmatrix_x4(right, to_b + swizzle<64>(l % 8 + l / 16 * 8, l / 8 % 2));
            else
                ldmatrix_x4_transposed(right, to_b + swizzle<64>(l % 16, l / 16));
            Tile t = {};
            mma_bf16(t.d[0], left, {right[0], right[1]});
            mma_bf16(t.d[1], left, {right[2], right[3]});
            store(c, t);
        }

        extern "C" __global__ void nn(const char* a, const char* b, float* c, int valid) { bf16<false, false>(a, b, c, valid); }
        extern "C" __global__ void nt(const char* a, const char* b, float* c, int valid) { bf16<false, true>(a, b, c, valid); }
        extern "C" __global__ void tn(const char* a, const char* b, float* c, int valid) { bf16<true, false>(a, b, c, valid); }
        extern "C" __global__ void tt(const char* a, const char* b, float* c, int valid) { bf16<true, true>(a, b, c, valid); }

        // A [16][16], B transposed [16][16], float; copies of 4 bytes.
        extern "C" __global__ void tf32(const float* a, const float* b, float* c, int valid)
        {
            __shared__ __align__(128) char tile_a[16 * 64], tile_b[16 * 64];
            unsigned to_a = shared_address(tile_a), to_b = shared_address(tile_b);
            int l = threadIdx.x;
            for (int i = l; i < 256; i += 32)
            {
                int at = swizzle<64>(i / 16, i % 16 / 4) + i % 4 * 4;
                cp_async_4(to_a + at, i / 16 < valid ? a + i : a, i / 16 < valid ? 4 : 0);
                cp_async_4(to_b + at, b + i);
            }
            cp_async_commit();
            cp_async_wait<0>();
            __syncwarp();
            Tile t = {};
            for (int k = 0; k < 16; k += 8)
            {
                unsigned left[4], right[2];
                ldmatrix_x4(left, to_a + swizzle<64>(l % 16, k / 4 + l / 16));
                for (int i = 0; i < 4; i++)
                    left[i] = to_tf32(left[i]);
                for (int j = 0; j < 2; j++)
                {
                    ldmatrix_x2(right, to_b + swizzle<64>(8 * j + l % 8, k / 4 + l / 8 % 2));
                    for (int i = 0; i < 2; i++)
                        right[i] = to_tf32(right[i]);
                    mma_tf32(t.d[j], left, right);
                }
            }
            store(c, t);
        }

        // Each pattern of access that swizzling is for, in rows of RowBytes.
        template <int RowBytes>
        __device__ void conflicts(const char* from, unsigned* to)
        {
            __shared__ __align__(128) char tile[32 * RowBytes];
            unsigned at = shared_address(tile), r[4];
            int l = threadIdx.x;
            constexpr int chunks = RowBytes / 16;
            for (int i = l; i < 32 * chunks; i += 32)
                cp_async_16(at + swizzle<RowBytes>(i / chunks, i % chunks), from + i * 16);
            cp_async_wait<0>();
            __syncwarp();
            ldmatrix_x4(r, at + swizzle<RowBytes>(l, 1));
            to[l] = r[0] ^ r[1] ^ r[2] ^ r[3];
        }

        extern "C" __global__ void conflicts_32(const char* from, unsigned* to) { conflicts<32>(from, to); }
        extern "C" __global__ void conflicts_64(const char* from, unsigned* to) { conflicts<64>(from, to); }
        extern "C" __global__ void conflicts_128(const char* from, unsigned* to) { conflicts<128>(from, to); }
        extern "C" __global__ void conflicts_256(const char* from, unsigned* to) { conflicts<256>(from, to); }

        extern "C" __global__ void conflicts_words(const char* from, unsigned* to)
        {
            __shared__ __align__(128) char tile[8 * 256];
            int l = threadIdx.x;
            for (int i = l; i < 8 * 16; i += 32)
                cp_async_16(shared_address(tile) + swizzle_words<256>(i / 16, i % 16), from + i * 16);
            cp_async_wait<0>();
            __syncwarp();
            unsigned sum = 0;
            for (int n = 0; n < 64; n += 8)
                sum ^= *(unsigned*)(tile + swizzle_words<256>(l % 4, (n + l / 4) / 4) + l / 4 % 4 * 4);
            to[l] = sum;
        }
        """;

    [SkippableTheory]
    [InlineData("nn", false, false)]
    [InlineData("nt", false, true)]
    [InlineData("tn", true, false)]
    [InlineData("tt", true, true)]
    [InlineData("tf32", false, true)]
    public void FragmentsOfEitherLayoutMakeTheProduct(string kernel, bool transposeA, bool transposeB)
    {
        using var module = Module();
        // Small integers and quarters are exact in bf16 and tf32, and so are their sums.
        float[] a = [.. Enumerable.Range(0, 256).Select(i => (i * 7 % 23 - 11) * 0.25f)], b = [.. Enumerable.Range(0, 256).Select(i => i * 5 % 19 - 9f)];
        ulong left = kernel == "tf32" ? module.Upload(a) : module.Upload(Brain(a)), right = kernel == "tf32" ? module.Upload(b) : module.Upload(Brain(b));
        // Rows of the stored A beyond the first 11 are filled with zeros.
        const int valid = 11;
        ulong c = module.Allocate(4 * 256);
        module.Options = new LaunchOptions { Mode = ExecutionMode.Checked };
        module.Run(kernel, 1, 32, 0, left, right, c, valid);
        float[] expected = new float[256];
        for (int i = 0; i < 256; i++)
        {
            for (int k = 0; k < 16; k++)
            {
                int row = i / 16, column = i % 16;
                float x = transposeA ? a[16 * k + row] : a[16 * row + k], y = transposeB ? b[16 * column + k] : b[16 * k + column];
                expected[i] += (transposeA ? k : row) < valid ? x * y : 0;
            }
        }
        Assert.Equal(expected, module.Download<float>(c, 256));
    }

    [SkippableTheory]
    [InlineData("conflicts_32", 32)]
    [InlineData("conflicts_64", 64)]
    [InlineData("conflicts_128", 128)]
    [InlineData("conflicts_256", 256)]
    [InlineData("conflicts_words", 64)]
    public void SwizzledTilesMeetNoBankConflict(string name, int rowBytes)
    {
        using var module = Module();
        var kernel = module[name];
        var counters = new KernelCounters(kernel);
        module.Options = new LaunchOptions { Mode = ExecutionMode.Counted, Counters = counters };
        module.Run(name, 1, 32, 0, module.Upload(new byte[32 * rowBytes]), module.Allocate(128));
        for (int pc = 0; pc < kernel.Code.Length; pc++)
        {
            var counts = counters.Instructions[pc];
            // 32 lanes of 16 bytes are four passes of 128 bytes at best.
            long best = kernel.Code[pc].Opcode is Opcode.Ldmatrix or Opcode.CpAsync ? 4 : 1;
            Assert.True(counts.SharedPasses == best * counts.SharedRequests, $"{name}: {kernel.Code[pc].Opcode} needs {counts.SharedPasses} passes for {counts.SharedRequests} requests");
        }
        Assert.True(counters.Instructions.Sum(each => each.SharedRequests) >= 2);
    }

    private static ushort[] Brain(float[] values) => Array.ConvertAll(values, value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16));

    private static EmulatedModule Module()
    {
        TestNvrtc.Require();
        var headers = KernelLibrary.Source("matmul.cu").Headers;
        return EmulatedModule.Cuda(new KernelSource("test.cu", Kernels, headers));
    }
}
