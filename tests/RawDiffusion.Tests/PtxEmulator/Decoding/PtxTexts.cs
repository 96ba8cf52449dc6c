namespace RawDiffusion.Tests;

/// <summary>PTX and CUDA texts that tests of the emulator share.</summary>
internal static class PtxTexts
{
    public const string Head = ".version 8.4\n.target sm_80\n.address_size 64\n";

    /// <summary>A kernel without parameters; its body begins in line 6.</summary>
    public static string Kernel(string body) => Head + ".visible .entry k()\n{\n" + body + "\n}\n";

    public const string VectorAdd = """
        extern "C" __global__ void add(const float* a, const float* b, float* c, int n)
        {
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i < n)
                c[i] = a[i] + b[i];
        }
        """;

    public const string Sgemm = """
        #define TILE 16
        extern "C" __global__ void sgemm(const float* __restrict__ a, const float* __restrict__ b, float* c, int n)
        {
            __shared__ float as[TILE][TILE], bs[TILE][TILE];
            int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
            float sum = 0;
            for (int k = 0; k < n; k += TILE) {
                as[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
                bs[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
                __syncthreads();
                for (int i = 0; i < TILE; i++)
                    sum += as[threadIdx.y][i] * bs[i][threadIdx.x];
                __syncthreads();
            }
            c[row * n + column] = sum;
        }
        """;

    public const string Reduction = """
        extern "C" __global__ void reduce(const float* x, float* y, int n)
        {
            extern __shared__ float partial[];
            float sum = 0;
            for (int i = threadIdx.x; i < n; i += blockDim.x)
                sum += x[i];
            for (int o = 16; o > 0; o >>= 1)
                sum += __shfl_xor_sync(~0u, sum, o);
            if (threadIdx.x % 32 == 0)
                partial[threadIdx.x / 32] = sum;
            __syncthreads();
            if (threadIdx.x == 0) {
                float total = 0;
                for (int i = 0; i < blockDim.x / 32; i++)
                    total += partial[i];
                y[0] = total;
                atomicAdd(y + 1, total);
            }
        }
        """;

    public const string Functions = """
        extern "C" __global__ void functions(const float* x, float* y)
        {
            int i = threadIdx.x;
            y[i] = expf(x[i]) + sinf(x[i]) * powf(x[i], 2.3f) - tanhf(x[i]) / erff(x[i]) + logf(x[i]);
        }
        extern "C" __global__ void doubles(const double* x, double* y, long long* z)
        {
            int i = threadIdx.x;
            y[i] = exp(x[i]) / 3.0 + cos(x[i]);
            z[i] = z[i] / 7 + z[i] % z[i + 1];
        }
        """;

    public const string Local = """
        __device__ int table[5] = {1, 2, 3, 4, 5};
        __constant__ float factors[3] = {1.5f, 2, 3};
        __device__ int* middle = &table[2];
        struct Mixed { int a; float b; double c; char d[5]; };
        __device__ __noinline__ float mixed(Mixed m, const float* q, int k) { return m.a * m.b + q[k] + m.c + m.d[k % 5]; }
        __device__ __noinline__ int twice(int n) { return n < 2 ? 1 : 2 * n; }
        extern "C" __global__ void local(Mixed m, const int* x, float* y, int n)
        {
            float values[32], sum = 0;
            for (int i = 0; i < 32; i++)
                values[i] = x[i] * 0.5f;
            for (int i = 0; i < n; i++)
                sum += values[x[i] & 31] + factors[i % 3] + table[x[i]];
            y[0] = sum + mixed(m, values, n) + twice(n) + *middle;
            printf("sum %f of %d\n", sum, n);
        }
        """;

    public const string Warps = """
        __device__ __forceinline__ int inlined(int a)
        {
            return a * a + 1;
        }
        extern "C" __global__ void __launch_bounds__(256, 2) warps(const int* x, int* y)
        {
            switch (x[threadIdx.x]) {
            case 0: y[0] = 1; break;
            case 1: y[0] = 5; break;
            case 2: y[1] = x[2]; break;
            case 3: y[3] = x[4] * 3; break;
            case 4: y[7] = inlined(x[3]); break;
            case 5: y[0] = __popc(x[1]); break;
            case 6: y[2] = __clz(x[1]); break;
            }
            y[9] = x[5] % x[6];
            y[10] = __match_any_sync(~0u, x[3]);
            y[11] = __ballot_sync(~0u, x[2]);
            y[12] = __activemask();
            y[13] = __reduce_add_sync(~0u, x[2]);
            y[14] = __syncthreads_count(x[2]);
        }
        """;

    public const string Tensor = """
        extern "C" __global__ void tensor(const unsigned* x, float* y)
        {
            float c0 = 0, c1 = 0, c2 = 0, c3 = 0;
            asm volatile("{ .reg .b32 t; mov.b32 t, %4; mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{t,%5,%6,%7},{%8,%9},{%0,%1,%2,%3}; }"
                : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3) : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(x[4]), "r"(x[5]));
            y[0] = c0 + c3;
            y[1] = c1 + c2;
        }
        """;

    public static readonly string[] All = [VectorAdd, Sgemm, Reduction, Functions, Local, Warps, Tensor];
}
