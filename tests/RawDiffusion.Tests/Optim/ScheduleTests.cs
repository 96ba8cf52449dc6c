using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Optim;

public class ScheduleTests
{
    [Fact]
    public void Warm_up_rises_in_a_straight_line_and_its_first_step_moves()
    {
        Assert.Equal(0.25, Schedule.Constant(0, warmup: 4));
        Assert.Equal(0.75, Schedule.Constant(2, warmup: 4));
        Assert.Equal(1, Schedule.Constant(3, warmup: 4));
        Assert.Equal(1, Schedule.Constant(1000, warmup: 4));
        Assert.Equal(1, Schedule.Constant(0));
    }

    [Fact]
    public void Linear_falls_from_1_to_the_final_value()
    {
        Assert.Equal(1, Schedule.Linear(0, 11));
        Assert.Equal(0.5, Schedule.Linear(5, 11), 12);
        Assert.Equal(0, Schedule.Linear(10, 11), 12);
        Assert.Equal(0.6, Schedule.Linear(5, 11, final: 0.2), 12);
        Assert.Equal(0.2, Schedule.Linear(99, 11, final: 0.2), 12);
    }

    [Fact]
    public void Cosine_falls_along_half_a_period()
    {
        Assert.Equal(1, Schedule.Cosine(0, 9));
        Assert.Equal(0.5 * (1 + Math.Cos(Math.PI / 4)), Schedule.Cosine(2, 9), 12);
        Assert.Equal(0.5, Schedule.Cosine(4, 9), 12);
        Assert.Equal(0.1, Schedule.Cosine(8, 9, final: 0.1), 12);
    }

    [Fact]
    public void Decay_begins_where_the_warm_up_ends()
    {
        Assert.Equal(1, Schedule.Cosine(9, 20, warmup: 10));
        Assert.Equal(1, Schedule.Cosine(10, 20, warmup: 10));
        Assert.Equal(0, Schedule.Cosine(19, 20, warmup: 10), 12);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(5, 5)]
    [InlineData(5, 10)]
    public void Degenerate_lengths_stay_within_0_and_1(int steps, int warmup)
    {
        for (int step = 0; step < 20; step++)
        {
            Assert.InRange(Schedule.Linear(step, steps, warmup), 0, 1);
            Assert.InRange(Schedule.Cosine(step, steps, warmup), 0, 1);
        }
    }
}
