using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

// Numbers and simulations, and PTX of newer compilers.
public partial class TextbookKernelTests
{
    [SkippableFact]
    public void MandelbrotLoopsOfDifferentLengths() => InEveryOrder("""
        struct Complex {
            float re, im;
            __device__ Complex(float r, float i) : re(r), im(i) {}
            __device__ Complex operator*(const Complex& o) const { return Complex(__fsub_rn(__fmul_rn(re, o.re), __fmul_rn(im, o.im)), __fadd_rn(__fmul_rn(re, o.im), __fmul_rn(im, o.re))); }
            __device__ Complex operator+(const Complex& o) const { return Complex(__fadd_rn(re, o.re), __fadd_rn(im, o.im)); }
            __device__ float norm() const { return __fadd_rn(__fmul_rn(re, re), __fmul_rn(im, im)); }
        };
        extern "C" __global__ void mandelbrot(int* counts, int size, int most)
        {
            int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
            if (x >= size || y >= size)
                return;
            Complex c(-2.0f + 3.0f * x / size, -1.5f + 3.0f * y / size), z(0, 0);
            int i = 0;
            while (i < most && z.norm() <= 4.0f) {
                z = z * z + c;
                i++;
            }
            counts[y * size + x] = i;
        }
        """, module =>
        {
            ulong counts = module.Allocate(4 * 60 * 60);
            module.Run("mandelbrot", new Dim3(4, 4, 1), new Dim3(16, 16, 1), 0, counts, 60, 200);
            int[] output = module.Download<int>(counts, 3600);
            for (int p = 0; p < 3600; p++)
            {
                // The constants are contracted to a fused multiply-add by the compiler, as here.
                float cre = MathF.FusedMultiplyAdd(1, 3.0f * (p % 60) / 60, -2.0f), cim = 3.0f * (p / 60) / 60 + -1.5f, re = 0, im = 0;
                int i = 0;
                for (; i < 200 && re * re + im * im <= 4; i++)
                    (re, im) = (re * re - im * im + cre, re * im + im * re + cim);
                Assert.Equal(i, output[p]);
            }
        });

    [SkippableFact]
    public void LifeOnATorusOfBytes() => InEveryOrder("""
        extern "C" __global__ void life(const unsigned char* now, unsigned char* next, int width, int height)
        {
            int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
            if (x >= width || y >= height) return;
            int alive = 0;
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++)
                    if (dx != 0 || dy != 0)
                        alive += now[(y + dy + height) % height * width + (x + dx + width) % width];
            next[y * width + x] = alive == 3 || (alive == 2 && now[y * width + x]);
        }
        """, module =>
        {
            byte[] now = [.. Ints(40 * 23, 2).Select(x => (byte)x)];
            ulong to = module.Allocate(now.Length);
            module.Run("life", new Dim3(3, 3, 1), new Dim3(16, 8, 1), 0, module.Upload(now), to, 40, 23);
            byte[] next = module.Download<byte>(to, now.Length);
            for (int p = 0; p < now.Length; p++)
            {
                int alive = Enumerable.Range(0, 9).Where(k => k != 4).Sum(k => now[(p / 40 + k / 3 - 1 + 23) % 23 * 40 + (p % 40 + k % 3 - 1 + 40) % 40]);
                Assert.Equal(alive == 3 || (alive == 2 && now[p] != 0) ? 1 : 0, next[p]);
            }
        });

    [SkippableFact]
    public void OptionsAreValuedInBothPrecisions() => InEveryOrder("""
        template <typename T> __device__ T cnd(T x) { return (T)0.5 * erfc(-x * (T)0.70710678118654752440); }
        template <typename T>
        __device__ void value(const T* price, const T* strike, const T* years, T rate, T volatility, T* call, T* put, int n)
        {
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i >= n) return;
            T root = sqrt(years[i]), d1 = (log(price[i] / strike[i]) + (rate + (T)0.5 * volatility * volatility) * years[i]) / (volatility * root), d2 = d1 - volatility * root;
            T discounted = strike[i] * exp(-rate * years[i]);
            call[i] = price[i] * cnd(d1) - discounted * cnd(d2);
            put[i] = discounted * cnd(-d2) - price[i] * cnd(-d1);
        }
        extern "C" __global__ void single(const float* s, const float* k, const float* t, float r, float v, float* c, float* p, int n) { value(s, k, t, r, v, c, p, n); }
        extern "C" __global__ void twice(const double* s, const double* k, const double* t, double r, double v, double* c, double* p, int n) { value(s, k, t, r, v, c, p, n); }
        """, module =>
        {
            double[] price = [.. Floats(100).Select(x => 20.0 + 5 * x)], strike = [.. Floats(101).Take(100).Select(x => 20.0 + 10 * x)], years = [.. Floats(102).Take(100).Select(x => 1.5 + x)];
            ulong call = module.Allocate(800), put = module.Allocate(800), calls = module.Allocate(400), puts = module.Allocate(400);
            module.Run("twice", new Dim3(1, 1, 1), new Dim3(128, 1, 1), 0, module.Upload(price), module.Upload(strike), module.Upload(years), 0.02, 0.3, call, put, 100);
            float[] Single(double[] x) => Array.ConvertAll(x, v => (float)v);
            module.Run("single", new Dim3(1, 1, 1), new Dim3(128, 1, 1), 0, module.Upload(Single(price)), module.Upload(Single(strike)), module.Upload(Single(years)), 0.02f, 0.3f, calls, puts, 100);
            double[] c = module.Download<double>(call, 100), p = module.Download<double>(put, 100);
            float[] cs = module.Download<float>(calls, 100), ps = module.Download<float>(puts, 100);
            for (int i = 0; i < 100; i++)
            {
                // Put-call parity, exact but for rounding, and agreement of the precisions.
                Assert.Equal(price[i] - strike[i] * Math.Exp(-0.02 * years[i]), c[i] - p[i], 1e-12);
                Assert.Equal(c[i], cs[i], 2e-5);
                Assert.Equal(p[i], ps[i], 2e-5);
                Assert.InRange(c[i], Math.Max(0, c[i] - p[i]), price[i]);
            }
        });

    [SkippableFact]
    public void NumbersOf64BitsAndTables() => InEveryOrder("""
        __constant__ unsigned int primes[8] = {2, 3, 5, 7, 11, 13, 17, 19};
        __device__ unsigned long long power(unsigned long long b, unsigned long long e, unsigned long long m)
        {
            unsigned long long r = 1;
            for (b %= m; e; e >>= 1) {
                if (e & 1) r = r * b % m;
                b = b * b % m;
            }
            return r;
        }
        extern "C" __global__ void is_prime(const unsigned int* n, int* answer, int count)
        {
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i >= count) return;
            unsigned int v = n[i];
            answer[i] = v > 1;
            for (int k = 0; k < 8; k++) {
                unsigned int a = primes[k];
                if (v == a) { answer[i] = 1; return; }
                if (v % a == 0) { answer[i] = 0; return; }
            }
            unsigned int d = v - 1;
            int s = __ffs(d) - 1;
            d >>= s;
            for (int k = 0; k < 4; k++) {
                unsigned long long x = power(primes[k], d, v);
                if (x == 1 || x == v - 1) continue;
                bool composite = true;
                for (int r = 1; r < s && composite; r++) {
                    x = x * x % v;
                    if (x == v - 1) composite = false;
                }
                if (composite) { answer[i] = 0; return; }
            }
        }
        """, module =>
        {
            uint[] numbers = [.. Enumerable.Range(2, 400).Select(x => (uint)x), 4294967291, 4294967295, 2147483647, 3215031751, 25326001];
            ulong to = module.Allocate(4 * numbers.Length);
            module.Run("is_prime", new Dim3(4, 1, 1), new Dim3(128, 1, 1), 0, module.Upload(numbers), to, numbers.Length);
            bool Prime(uint n)
            {
                for (uint f = 2; (ulong)f * f <= n; f++)
                {
                    if (n % f == 0)
                        return false;
                }
                return true;
            }
            // 3215031751 is the one below 2^32 that passes for the bases 2, 3, 5, 7 though it is composite.
            Assert.Equal(numbers.Select(n => Prime(n) || n == 3215031751 ? 1 : 0), module.Download<int>(to, numbers.Length));
        });

    [SkippableFact]
    public void ParticlesInTilesAndAHeatEquationWithHalos() => InEveryOrder("""
        extern "C" __global__ void forces(const float4* bodies, float3* out, int n)
        {
            extern __shared__ float4 tile[];
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            float4 me = i < n ? bodies[i] : make_float4(0, 0, 0, 0);
            float3 f = make_float3(0, 0, 0);
            for (int start = 0; start < n; start += blockDim.x) {
                int j = start + threadIdx.x;
                tile[threadIdx.x] = j < n ? bodies[j] : make_float4(0, 0, 0, 0);
                __syncthreads();
        #pragma unroll 4
                for (int k = 0; k < blockDim.x; k++) {
                    float4 o = tile[k];
                    float dx = o.x - me.x, dy = o.y - me.y, dz = o.z - me.z;
                    float r = rsqrtf(dx * dx + dy * dy + dz * dz + 0.01f), s = o.w * r * r * r;
                    f.x += dx * s; f.y += dy * s; f.z += dz * s;
                }
                __syncthreads();
            }
            if (i < n) out[i] = f;
        }
        #define RADIUS 3
        extern "C" __global__ void stencil(const float* in, float* out, int n)
        {
            __shared__ float s[64 + 2 * RADIUS];
            int g = blockIdx.x * blockDim.x + threadIdx.x, l = threadIdx.x + RADIUS;
            s[l] = g < n ? in[g] : 0;
            if (threadIdx.x < RADIUS) {
                s[l - RADIUS] = g >= RADIUS ? in[g - RADIUS] : 0;
                s[l + 64] = g + 64 < n ? in[g + 64] : 0;
            }
            __syncthreads();
            float sum = 0;
            for (int o = -RADIUS; o <= RADIUS; o++) sum += s[l + o];
            if (g < n) out[g] = sum;
        }
        """, module =>
        {
            float[] bodies = Floats(4 * 100), heat = Floats(200);
            ulong forces = module.Allocate(12 * 100), sums = module.Allocate(4 * 200);
            module.Run("forces", new Dim3(2, 1, 1), new Dim3(64, 1, 1), 1024, module.Upload(bodies), forces, 100);
            module.Run("stencil", new Dim3(4, 1, 1), new Dim3(64, 1, 1), 0, module.Upload(heat), sums, 200);
            float[] f = module.Download<float>(forces, 300), s = module.Download<float>(sums, 200);
            for (int i = 0; i < 100; i++)
            {
                double[] d = new double[3];
                for (int j = 0; j < 100; j++)
                {
                    double[] r = [.. Enumerable.Range(0, 3).Select(a => (double)bodies[4 * j + a] - bodies[4 * i + a])];
                    double size = bodies[4 * j + 3] / Math.Pow(r.Sum(x => x * x) + 0.01, 1.5);
                    for (int a = 0; a < 3; a++)
                        d[a] += r[a] * size;
                }
                for (int a = 0; a < 3; a++)
                    Assert.Equal(d[a], f[3 * i + a], 0.002);
            }
            for (int i = 0; i < 200; i++)
                Assert.Equal(Enumerable.Range(i - 3, 7).Where(k => k is >= 0 and < 200).Sum(k => (double)heat[k]), s[i], 1e-5);
        });

    /// <summary>The style of compilers from CUDA 13 on: floats in untyped registers, annotated pointers, numbers with a suffix, debugging labels.</summary>
    [Fact]
    public void PtxAsNewerCompilersWriteItRuns()
    {
        using var module = EmulatedModule.Ptx("""
            //
            // Generated by NVIDIA NVVM Compiler
            //
            .version 9.0
            .target sm_80
            .address_size 64

            	// .globl	smooth                  // -- Begin function smooth
            .visible .func  (.param .b32 func_retval0) half_of
            (
            	.param .b32 half_of_param_0
            )
            {
            	.reg .b32 	%r<3>;

            // %bb.0:
            	ld.param.b32 	%r1, [half_of_param_0];
            	mul.rn.f32 	%r2, %r1, 0f3F000000;
            	st.param.b32 	[func_retval0], %r2;
            	ret;
            }
            .visible .entry smooth(
            	.param .u64 .ptr .align 1 smooth_param_0,
            	.param .u64 .ptr .global .align 16 smooth_param_1,
            	.param .u32 smooth_param_2
            )
            .maxntid 64
            {
            	.reg .pred 	%p<5>;
            	.reg .b16 	%rs<3>;
            	.reg .b32 	%r<30>;
            	.reg .b64 	%rd<10>;
            	.loc	1 3 0
            $L__func_begin0:
            	.loc	1 3 0

            // %bb.0:
            	ld.param.b64 	%rd1, [smooth_param_0];
            	ld.param.b64 	%rd2, [smooth_param_1];
            	ld.param.b32 	%r2, [smooth_param_2];
            $L__tmp0:
            	.loc	1 5 9
            	mov.u32 	%r3, %ctaid.x;
            	mov.u32 	%r4, %ntid.x;
            	mov.u32 	%r5, %tid.x;
            	mad.lo.s32 	%r1, %r3, %r4, %r5;
            	setp.ge.s32 	%p1, %r1, %r2;
            	setp.lt.s32 	%p2, %r1, 0;
            	or.pred 	%p3, %p1, %p2;
            	mov.b32 	%r6, 0f00000000;
            	@%p3 bra 	$L__BB1_2;
            	bra.uni 	$L__BB1_1;
            $L__BB1_1:
            	.loc	1 6 5, function_name $L__info_string0, inlined_at 1 5 9
            	cvta.to.global.u64 	%rd3, %rd1;
            	mul.wide.s32 	%rd4, %r1, 4;
            	add.s64 	%rd5, %rd3, %rd4;
            	ld.global.nc.b32 	%r7, [%rd5];
            	fma.rn.f32 	%r6, %r7, 0f40000000, 0f3F800000;
            $L__BB1_2:
            	shfl.sync.bfly.b32 	%r8|%p4, %r6, 1, 31, -1;
            	add.rn.f32 	%r9, %r6, %r8;
            	{ // callseq 0, 0
            	.param .b32 param0;
            	st.param.b32 	[param0], %r9;
            	.param .b32 retval0;
            	call.uni (retval0),
            	half_of,
            	(
            	param0
            	);
            	ld.param.b32 	%r10, [retval0];
            	} // callseq 0
            	prmt.b32 	%r11, %r10, 0, 0x3210U;
            	@%p3 bra 	$L__BB1_4;
            // %bb.3:
            	cvta.to.global.u64 	%rd6, %rd2;
            	mad.wide.s32 	%rd7, %r1, 4, %rd6;
            	st.global.b32 	[%rd7], %r11;
            $L__BB1_4:
            	.loc	1 9 1
            	ret;
            $L__tmp1:
            $L__func_end0:
                                                    // -- End function
            }
            	.file	1 "smooth.cu"
            	.section	.debug_abbrev
            	{
            .b8 1                                   // Abbreviation Code
            .b8 17                                  // DW_TAG_compile_unit
            .b8 0
            	}
            	.section	.debug_info
            	{
            .b32 44
            .b64 $L__func_begin0
            	}
            	.section	.debug_macinfo	{	}
            """);
        float[] input = Floats(40);
        ulong to = module.Allocate(4 * input.Length);
        module.Run("smooth", new Dim3(1, 1, 1), new Dim3(64, 1, 1), 0, module.Upload(input), to, input.Length);
        Assert.Equal(Enumerable.Range(0, 40).Select(i => (2 * input[i] + 1 + (2 * input[i ^ 1] + 1)) * 0.5f), module.Download<float>(to, 40));
        Assert.Contains(module["smooth"].Lines, line => line is { Line: 6, InlinedAt: { Line: 5 } });
    }
}
