namespace RawDiffusion.Tests;

// What the language allows.
public sealed partial class CorrectKernelTests
{
    private static IEnumerable<Sample> Language() =>
    [
        new("a_local_array_with_computed_indices", 1, 32, 0, 32, i => 7 - i % 8, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int values[8];
                for (int i = 0; i < 8; i++)
                    values[x[7 - i]] = i;
                y[threadIdx.x] = values[x[threadIdx.x] % 8];
            }
            """),
        new("a_pointer_to_a_local_variable", 1, 32, 0, 32, i => 3 * i, """
            __device__ __noinline__ void triple(int* p) { *p *= 3; }

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int v = x[threadIdx.x];
                triple(&v);
                y[threadIdx.x] = v;
            }
            """),
        new("a_switch", 1, 64, 0, 64, i => (i % 6) switch { 0 => i + 1, 1 => 2 * i, 2 => i * i, 3 => -i, 4 => i / 3, _ => 99 }, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int v = x[threadIdx.x];
                switch (v % 6)
                {
                    case 0: y[threadIdx.x] = v + 1; break;
                    case 1: y[threadIdx.x] = 2 * v; break;
                    case 2: y[threadIdx.x] = v * v; break;
                    case 3: y[threadIdx.x] = -v; break;
                    case 4: y[threadIdx.x] = v / 3; break;
                    default: y[threadIdx.x] = 99; break;
                }
            }
            """),
        new("loops_that_end_at_different_times", 1, 64, 0, 64, i => Collatz(i + 1), """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int v = x[threadIdx.x] + 1, steps = 0;
                while (v != 1)
                {
                    if (v % 2 == 0)
                        v /= 2;
                    else
                        v = 3 * v + 1;
                    steps++;
                }
                y[threadIdx.x] = steps;
            }
            """),
        new("continue_and_break", 1, 32, 0, 32, i => Enumerable.Range(0, 32).Where(j => j % 3 != 0).TakeWhile(j => j <= i).Sum(), """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int sum = 0;
                for (int i = 0; i < n; i++)
                {
                    if (i % 3 == 0)
                        continue;
                    if (i > (int)threadIdx.x)
                        break;
                    sum += x[i];
                }
                y[threadIdx.x] = sum;
            }
            """),
        new("constants_by_index", 1, 32, 0, 32, i => 10 * (i % 4), """
            __constant__ int table[4] = { 0, 10, 20, 30 };

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                y[threadIdx.x] = table[x[threadIdx.x] % 4];
            }
            """),
        new("structures_are_copied", 1, 16, 0, 16, i => i + 2 * i + 3, """
            struct Item { int a; float b; long long c; };

            __device__ __noinline__ Item make(int v) { return { v, 2.0f * v, 3 }; }

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ Item items[16];
                items[threadIdx.x] = make(x[threadIdx.x]);
                __syncthreads();
                Item item = items[threadIdx.x];
                y[threadIdx.x] = item.a + (int)item.b + (int)item.c;
            }
            """),
        new("vectors_of_four", 1, 16, 0, 64, i => 2 * i, """
            extern "C" __global__ void k(int4* x, int4* y, int n)
            {
                int4 v = x[threadIdx.x];
                y[threadIdx.x] = make_int4(2 * v.x, 2 * v.y, 2 * v.z, 2 * v.w);
            }
            """),
        new("a_barrier_in_a_branch_that_all_take", 1, 64, 0, 64, i => 63 - i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int tile[64];
                tile[threadIdx.x] = x[threadIdx.x];
                if (n == 64)
                    __syncthreads();
                y[threadIdx.x] = tile[63 - threadIdx.x];
            }
            """),
        new("a_barrier_in_a_loop_of_equal_length", 1, 64, 0, 64, i => (i + 5) % 64, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int tile[64];
                int i = threadIdx.x;
                tile[i] = x[i];
                for (int r = 0; r < 5; r++)
                {
                    __syncthreads();
                    int right = tile[(i + 1) % 64];
                    __syncthreads();
                    tile[i] = right;
                }
                y[i] = tile[i];
            }
            """),
        new("threads_that_leave_early_without_a_barrier", 1, 64, 0, 64, i => i < 10 ? 0 : Math.Min(i, 40), """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                if (threadIdx.x < 10)
                    return;
                for (int r = 0; r < (int)threadIdx.x; r++)
                {
                    if (r == 40)
                        return;
                    y[threadIdx.x] = r + 1;
                }
            }
            """),
        new("printing", 1, 4, 0, 4, i => i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                printf("%d of %d\n", x[threadIdx.x], n);
                y[threadIdx.x] = x[threadIdx.x];
            }
            """),
    ];

    private static int Collatz(int value)
    {
        int steps = 0;
        for (; value != 1; steps++)
            value = value % 2 == 0 ? value / 2 : 3 * value + 1;
        return steps;
    }
}
